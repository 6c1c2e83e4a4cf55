"""A small simulated world that tells stories, explains things and holds conversations.

The words are data (``data/``), the world is :mod:`world`, the telling is :mod:`telling`, and :mod:`stories` puts
texts together. ``document(seed, split)`` is all that a corpus needs; :mod:`questions` asks what a text made true.
"""
