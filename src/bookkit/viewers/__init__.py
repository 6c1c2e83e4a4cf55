"""Viewers: data in, one self-contained HTML fragment out, alive without kernel, server or network.

`tokens` shows a text cut into tokens; `sentence_map` shows texts as points on maps of their vectors; `fragment` holds what all viewers share.
"""
