"""The one exception that users are meant to read."""


class PasegError(ValueError):
    """Input that cannot be used. The message names the file, the case and the value, and says what to do.

    The command line prints the message alone, without a traceback.
    """
