"""Ask the book: what its pages say, found and answered; and the same for a reader's own documents.

:mod:`~bookkit.ask.markdown` reads Markdown, :mod:`~bookkit.ask.passages` cuts the book with it and
:mod:`~bookkit.ask.documents` a reader's own files, :mod:`~bookkit.ask.stores` keeps vectors in a database, and
:mod:`~bookkit.ask.answer` answers.
"""
