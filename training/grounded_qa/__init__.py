"""The recipe of grounded-qa: data, training and evaluation of an adapter that answers from the given passages."""
