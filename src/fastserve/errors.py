"""What can keep the server from starting."""


class StartError(RuntimeError):
    """The server cannot start; the message is the reason in one line.

    Where the application's own code raised, that exception is the `__cause__`, and its traceback,
    which begins in the application's code, is worth showing.
    """
