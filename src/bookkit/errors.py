"""The one exception for what can go wrong outside the code: it says what is wrong and what to do."""


class BookError(Exception):
    """A foreseeable failure, told in one sentence that a reader can act on.

    The command line prints the sentence without a traceback and ends with exit code 1.
    """
