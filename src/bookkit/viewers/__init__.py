"""Viewers: data in, one self-contained HTML fragment out, alive without kernel, server or network.

`tokens` shows a text cut into tokens; `fragment` holds what all viewers share.
"""
