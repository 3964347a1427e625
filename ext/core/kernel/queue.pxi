# Requests that wait for their application: for a place among --limit-concurrency (--limit-queue), for a thread, or in
# the kernel while the worker was busy with others. Those that wait for a place have an exchange, which takes what comes
# of their bodies, and are in Driver.queue; a place that becomes free goes to them first.

cdef enum:
    QUEUE_SAID_MS = 60000

# Exchange.waits
cdef enum:
    WAITS_NOT
    WAITS_FOR_PLACE             # it is in Driver.queue
    WAITS_FOR_CALL              # it has a place, or will not get one: its application has not been called


cdef raises join_queue(Exchange exchange) except -1:
    cdef Driver driver = exchange.driver
    driver.queue[exchange] = None
    driver.queue_length += 1
    exchange.waits = WAITS_FOR_PLACE
    exchange.queued_since = driver.now


cdef void leave_queue(Exchange exchange) noexcept:
    """Takes an exchange out of the queue that is no longer served. Changes nothing else."""
    if exchange.waits == WAITS_FOR_PLACE:
        del exchange.driver.queue[exchange]
        exchange.driver.queue_length -= 1
    exchange.waits = WAITS_NOT


cdef void admit(Driver driver) noexcept:
    """Gives a free place to the request that has waited longest. The application is called when the driver comes round,
    since the code that made room may be anywhere."""
    cdef Exchange exchange
    try:
        exchange, _ = driver.queue.popitem(last=False)
        driver.queue_length -= 1
        exchange.waits = WAITS_FOR_CALL
        take_place(exchange)
        driver.admitted.append(exchange)
        driver.schedule_again(exchange.connection)      # start_admitted() itself may have made room
    except BaseException as failure:
        report(driver.logger, LOG_CRITICAL, "internal error in the queue", (), failure)


cdef raises start_admitted(Driver driver) except -1:
    cdef Exchange exchange
    cdef Connection connection
    admitted, driver.admitted = driver.admitted, []
    for exchange in admitted:
        connection = exchange.connection
        if connection is None:
            continue                # its client has left meanwhile
        try:
            if not exchange.calls():
                exchange.waits = WAITS_NOT      # it has its place, and is called when more of the request has come
            elif is_late(exchange):
                give_up_waiting(exchange)
            else:
                exchange.waits = WAITS_NOT
                exchange.admitted()
        except BaseException as failure:
            connection.broken(failure)


cdef uint64_t arrived(Exchange exchange) noexcept:
    """Returns when the request arrived, monotonic ms. It may have waited in the socket; a request behind another one on
    its connection first waited for that one, which does not count. Bytes that came after it hide some of the time."""
    cdef Connection connection = exchange.connection
    cdef uint64_t now = fs_monotonic_ms()
    cdef int64_t quiet = fs_quiet_ms(connection.fd)
    return max(now - <uint64_t>quiet, connection.free_since) if 0 < quiet and <uint64_t>quiet <= now else now


cdef uint64_t queue_due(Exchange exchange) noexcept:
    """Returns until when its application has to be called, 0: it may wait."""
    cdef uint64_t patience = exchange.driver.limits.timeout_queue
    return exchange.queued_since + patience if patience and exchange.started else 0


cdef bint is_late(Exchange exchange) noexcept:
    cdef uint64_t due = queue_due(exchange)
    return due != 0 and fs_monotonic_ms() >= due


cdef bint is_held_back(Exchange exchange) except -1:
    """Whether an application that is about to be called is not, since it has to wait for its place, or has waited too
    long. Asked once, and only if there are queues."""
    exchange.queued_since = arrived(exchange)
    if exchange.waits == WAITS_FOR_PLACE:
        return True
    if not is_late(exchange):
        exchange.waits = WAITS_NOT
        return False
    give_up_waiting(exchange)
    return True


cdef raises give_up_waiting(Exchange exchange) except -1:
    """Answers 503 at once: the client may try another server, or has left already."""
    cdef Driver driver = exchange.driver
    driver.status.queue_timeouts += 1
    if exchange.waits == WAITS_NOT:
        exchange.waits = WAITS_FOR_CALL
    exchange.fail(FS_E_QUEUE_TIMEOUT)
    exchange.waits = WAITS_NOT
    if not driver.queue_said or driver.now >= driver.queue_said + QUEUE_SAID_MS:
        driver.queue_said = driver.now
        report(driver.logger, LOG_WARNING, "requests are answered 503: they have waited for %g seconds, and the application has not "
               "been called (--queue-timeout)", (driver.limits.timeout_queue / 1000.0,))


cdef Py_ssize_t refuse_queue(Driver driver) except -1:
    """Refuses all that wait when the worker stops and the time is over. Returns their number."""
    cdef Exchange exchange
    waiting = list(driver.queue)
    for exchange in waiting:
        report(driver.logger, LOG_WARNING, "given up, because the server stops: %s %s",
               (exchange.method_name(), exchange.path_name()))
        exchange.fail(FS_E_STOPPED)
    return len(waiting)


cdef raises show_queue(Driver driver, uint64_t length, uint64_t since) except -1:
    """Writes the queue into the status. `length`, `since`: of requests that have a place and wait for a thread, or
    0."""
    cdef Exchange exchange
    for exchange in driver.queue:
        since = earliest(since, exchange.queued_since)
        break
    driver.status.queued = length + driver.queue_length
    driver.status.queued_since = since
