"""Viewers: data in, one self-contained HTML fragment out, alive without kernel, server or network.

`tokens` shows a text cut into tokens; `sentence_map` shows texts as points on maps of their vectors; `query` lets
the reader move one query among its keys; `attention` shows where each token looks, in every head; `learning` goes
through the stages of a training; `next_token` lets the reader choose how the next token is drawn; `branches` unfolds
a beam search; `flow` lets points go from noise to data and `trajectory` a whole picture; `retrieval` compares what
several methods find for a question. `fragment` holds what all viewers share, `pieces` how tokens are drawn.
"""
