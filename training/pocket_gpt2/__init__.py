"""The recipe of pocket-gpt2: corpus, tokenizer, training and evaluation."""
