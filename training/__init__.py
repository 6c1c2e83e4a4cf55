"""How the book's models, texts and figures were made: recipes, sweeps, and what gathers the texts."""
