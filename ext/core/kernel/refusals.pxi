# What clients are refused for, logged with their address and what was read of their request: a few a second, since a client can
# bring one about at will. Handlers are the application's code, so the lines are written when the batch has ended.

cdef enum:
    REFUSALS_BURST = 10
    REFUSALS_A_SECOND = 10


@cython.final
cdef class Refusals:

    def __cinit__(self):
        self.waiting = []
        fs_bucket_init(&self.bucket, REFUSALS_BURST, REFUSALS_A_SECOND, fs_monotonic_ms())

    cdef raises write(self, object logger) except -1:
        cdef list waiting = self.waiting
        self.waiting = []
        for text, arguments in waiting:
            report(logger, LOG_INFO, text, arguments)
        return 0


cdef raises refused(Connection connection, int error, object request=None) except -1:
    """Counts what the peer is refused for, and has it logged. `request` is its method and target, where they were read."""
    cdef Driver driver = connection.driver
    cdef Refusals refusals = driver.refusals
    cdef const fs_error_info *info = fs_error_describe(error)
    count_error(driver, error)
    if error == FS_E_PEER_GONE or fs_error_is_application(error):
        return 0
    if not fs_bucket_take(&refusals.bucket, driver.now):
        refusals.left_out += 1
        return 0
    client = client_address(connection)
    text = "client %s: %s (%s), %s"
    arguments = ("-" if client is None else f"[{client[0]}]:{client[1]}" if ":" in client[0] else f"{client[0]}:{client[1]}",
                 info.text.decode(), info.name.decode(), f"answered {info.status}" if info.status else "the connection is closed")
    if request is not None:
        text += ": %s"
        arguments += (request,)
    if refusals.left_out:
        text += " (%d refusals before it were not logged)"
        arguments += (refusals.left_out,)
        refusals.left_out = 0
    refusals.waiting.append((text, arguments))
    return 0


cdef str request_of(Exchange exchange):
    return f"{exchange.method_name()} {exchange.path_name()}"
