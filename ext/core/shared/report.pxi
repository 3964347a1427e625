# How the core logs. A handler or a filter is the application's code: it may raise, and no exception may reach the turn,
# the batch or the thread that logs.

cdef enum Level:
    LOG_DEBUG = 10
    LOG_INFO = 20
    LOG_WARNING = 30
    LOG_ERROR = 40
    LOG_CRITICAL = 50


cdef bint logging_failed = False        # reported once: whoever logs much would flood stderr too


cdef void report(object logger, int level, str text, tuple arguments, object failure=None) noexcept:
    """Logs `text % arguments`, with the traceback of `failure` if there is one. Never raises; the exception of a
    handler or a filter goes to stderr, once a process. It runs the application's code: look again afterwards at what
    you use."""
    global logging_failed
    try:
        logger.log(level, text, *arguments, exc_info=failure)
    except BaseException as problem:
        if not logging_failed:
            logging_failed = True
            write_failure(problem)


cdef int write_failure(object problem) noexcept:
    try:
        text = "".join(traceback.format_exception(problem))
        sys.stderr.write(f"fastserve: a logging handler has failed; further failures are not shown\n{text}")
    except BaseException:
        pass        # stderr is closed, or full: there is nobody left to tell
