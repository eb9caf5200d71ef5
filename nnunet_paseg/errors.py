"""The exception for input that cannot be used."""


class PasegError(ValueError):
    """Input that cannot be used.

    The message names the file, the case and the value, and ends with what to do. The command line prints the message
    alone, without a traceback.
    """
