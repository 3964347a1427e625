# What all interfaces share: one request and its answer, between a stream and an application.

class ClientDisconnected(ConnectionResetError):
    """Raised by `send` when the client has gone and nothing can reach it any more (ASGI specification, 2.4)."""


# What frameworks raise when `receive` says that the client has left: Starlette and FastAPI, Django and Channels, and
# Starlette and Litestar for a WebSocket. By name, since we must not import them.
cdef frozenset FOREIGN_DISCONNECTS = frozenset(("ClientDisconnect", "RequestAborted", "WebSocketDisconnect"))


cdef bint caused_by_disconnect(object exception):
    """Whether an exception follows from the client's disconnect. Frameworks wrap what `send` raised in exceptions of
    their own, and in groups; and they raise their own for what `receive` returned."""
    seen = set()
    pending = [exception]
    while pending:
        exception = pending.pop()
        if exception is None or id(exception) in seen:
            continue
        if isinstance(exception, ClientDisconnected) or type(exception).__name__ in FOREIGN_DISCONNECTS:
            return True
        seen.add(id(exception))
        pending += [exception.__cause__, exception.__context__]
        if isinstance(exception, BaseExceptionGroup):
            pending += BaseExceptionGroup.exceptions.__get__(exception)     # a subclass may have its own
    return False


cdef class Exchange:

    cdef raises begin(self, fs_request_head *head) except -1:
        """Takes what it needs from a request's head; the slices are gone when it returns."""
        raise NotImplementedError

    cdef raises start(self) except -1:
        """Calls the application, once."""
        raise NotImplementedError

    cdef raises on_body(self, const char *p, size_t n, bint end) except -1:
        """Takes a piece of the body; `p` is gone when it returns."""
        raise NotImplementedError

    cdef char *body_room(self, size_t wanted, size_t *given) except NULL:
        """Returns where body bytes may be received to. A call of body_filled follows each, with 0 if none came."""
        raise NotImplementedError

    cdef raises body_filled(self, size_t n, bint end) except -1:
        raise NotImplementedError

    cdef raises on_end(self) except -1:
        self.body_ended = True

    cdef raises on_disconnect(self) except -1:
        """Called when the client sends no more. It may still read (RFC 9112 section 9.6)."""
        self.disconnect_due = True

    cdef raises on_lost(self) except -1:
        """Called when nothing reaches the client any more; the stream is about to go."""
        self.disconnect_due = True
        self.lost = True

    cdef raises on_refused(self) except -1:
        """Called when the rest of the request cannot be taken, before it is answered with its error."""
        self.on_lost()

    cdef raises on_overdue(self) except -1:
        """Called when the application has not finished in its time."""

    cdef uint64_t due(self) noexcept:
        """Returns until when (monotonic ms) something has to happen before on_overdue is called; 0: no such time."""
        return self.application_due()

    # The application's own time, without its waits for the client: `since` moves on by those.

    cdef raises await_client(self) except -1:
        """Notes that the application waits for the client: for a piece of the body, or for room."""
        cdef const fs_limits *limits = &self.driver.limits
        if self.awaiting_since == 0 and (limits.timeout_request or limits.timeout_response or limits.timeout_threads):
            self.awaiting_since = fs_monotonic_ms()
        return 0

    cdef raises client_came(self) except -1:
        if self.awaiting_since:
            self.since += fs_monotonic_ms() - self.awaiting_since
            self.awaiting_since = 0
        return 0

    cdef uint64_t application_due(self) noexcept:
        """Returns when the application is late, as it looks now; 0 for never. Called at the end of each turn with
        it."""
        cdef const fs_limits *limits = &self.driver.limits
        cdef uint64_t whole
        if not self.since or self.awaiting_since or self.stream == NULL:
            return 0
        whole = self.since + limits.timeout_response if limits.timeout_response else 0
        if not self.stream.head_sent:
            return earliest(whole, self.since + limits.timeout_request if limits.timeout_request else 0)
        if limits.timeout_response_idle == 0:
            return whole
        if self.quiet_since == 0 or self.sent_before != self.stream.body_sent or self.connection.unsent_of(self):
            self.sent_before = self.stream.body_sent
            self.quiet_since = self.driver.now
        return earliest(whole, self.quiet_since + limits.timeout_response_idle)

    cdef str lateness(self):
        """Returns what the application is late with; None if it is not late."""
        cdef const fs_limits *limits = &self.driver.limits
        cdef uint64_t due = self.application_due()
        if due == 0 or self.driver.now < due:
            return None
        if limits.timeout_response and due == self.since + limits.timeout_response:
            return f"did not complete its answer within {limits.timeout_response / 1000.0:g} seconds"
        if self.stream.head_sent:
            return f"did not go on with its answer within {limits.timeout_response_idle / 1000.0:g} seconds"
        return f"did not answer within {limits.timeout_request / 1000.0:g} seconds"

    cdef bint calls(self) noexcept:
        """Whether its application would have been called if there had been a place."""
        return self.started

    cdef raises admitted(self) except -1:
        """Called when a place has become free for it, if `calls` returns true."""
        raise NotImplementedError

    cdef bint awaits_peer(self) noexcept:
        """Whether by `due` the peer has to do something, and not the application."""
        return False

    cdef raises on_drain(self) except -1:
        """Called when the worker stops, and the exchange has time to finish."""

    cdef raises on_stop(self) except -1:
        """Called when the worker stops, and the time is nearly over."""
        self.on_disconnect()

    # An exchange that has upgraded its stream takes bytes: on_data, as often as bytes have come and wants_data returns
    # true, then on_data_end once.

    cdef bint wants_data(self) noexcept:
        return False

    cdef raises on_data(self, char *p, size_t n) except -1:
        """Takes bytes of the tunnel, which may be written to and are gone after on_data_end. n == 0: what an earlier
        turn left may be taken now."""
        raise NotImplementedError

    cdef raises on_data_end(self) except -1:
        raise NotImplementedError

    cdef raises on_writable(self) except -1:
        """Called when the out-queue has fallen below its low-water mark."""

    cdef bint wants_body(self) noexcept:
        """Whether the application waits for body bytes: only then can the client be late."""
        return False

    cdef raises detach(self) except -1:
        """Cuts the exchange from its stream and connection: what the application still holds then only says so."""
        if self.stream != NULL:
            if self.stream.head_sent and not self.counted:
                count_answer(self)
            self.stream.exchange = NULL
            self.stream = NULL
            self.driver.in_flight -= 1
            self.driver.status.in_flight = self.driver.in_flight
        self.connection = None

    cdef uint64_t sent(self) noexcept:
        """Returns the bytes of the answer, without framing."""
        return self.stream.body_sent if self.stream != NULL else 0

    cdef uint64_t reached(self) noexcept:
        """And of them those that the kernel has taken, as it looks now."""
        cdef uint64_t given = self.sent()
        return given - min(given, self.connection.unsent_of(self)) if given and self.connection is not None else given

    cdef raises log(self, int status) except -1:
        """Writes the access log's line, once, when the answer has ended one way or the other."""
        cdef Driver driver = self.driver
        if driver.access_log.fd < 0 or self.logged or self.method is None:
            return 0
        self.logged = True
        driver.access_log.line(self.client, self.method, self.raw_path, self.query, self.version, status,
                               self.reached(), fs_monotonic_us() - self.started_us, driver.now)

    cdef raises log_departure(self, int error) except -1:
        """Logs an answer that does not reach its client any more: with 499 if the client left before it was complete,
        nginx's number, which is never sent; an answer that we cut ourselves keeps its own status."""
        cdef int status = self.stream.status
        if not self.stream.head_sent or error == FS_E_PEER_GONE and not self.is_tunnel():
            status = 499
            if not self.counted:
                self.counted = True
                fs_status_count_response(self.driver.status, status)
                if self.stream.head_sent:
                    fs_status_count_durations(self.driver.status, fs_monotonic_us() - self.begun_us, 1)
        return self.log(status)

    cdef bint is_tunnel(self) noexcept:
        """Whether its answer was an upgrade, which is complete: what follows belongs to nobody's response."""
        return False

    def method_name(self):
        return self.method or "-"

    def path_name(self):
        return self.raw_path.decode("ascii", "backslashreplace") if self.raw_path is not None else "-"

    cdef raises fail(self, int error) except -1:
        """Answers a fault of the application's, or ours: with its status before the head has gone, else by visibly
        breaking the answer off."""
        cdef Connection connection = self.connection
        cdef int status = fs_error_describe(error).status
        cdef fs_stream *stream = self.stream
        if stream == NULL or stream.ended:
            return 0
        if not self.disconnect_due:
            count_error(self.driver, error)
        if stream.head_sent:
            stream.ops.abort(stream, error)
        elif send_status(stream, status) < 0:
            stream.ops.abort(stream, error)
        connection.response_ended(self)


cdef inline void count_answer(Exchange exchange) noexcept:
    """Counts an answer that has ended. Most end in the batch that brought their request; these are sent a few at a
    time, share one reading of the clock then, and all count with that duration."""
    fs_status_count_response(exchange.driver.status, exchange.stream.status)
    if exchange.begun_us == exchange.driver.now_us:
        exchange.driver.ended_now += 1
    else:
        fs_status_count_durations(exchange.driver.status, fs_monotonic_us() - exchange.begun_us, 1)


cdef inline void end_row(Exchange exchange) noexcept:
    """Frees the row of a request with which neither the client nor the application has to do any more."""
    if exchange.row != NULL:
        fs_status_end_row(exchange.driver.status, &exchange.driver.free_rows, exchange.row)
        exchange.row = NULL


cdef inline int charge(Exchange exchange, uint64_t cost, bint there) noexcept:
    """Sets what the exchange is charged of the worker's memory. Returns FS_E_NO_ROOM if that is full, and then nothing
    has changed. `there`: charges in any case, since the application is about to take the bytes."""
    cdef fs_budget *memory = &exchange.driver.memory
    if cost <= exchange.charged:
        fs_budget_give(memory, exchange.charged - cost)
    elif there:
        fs_budget_force(memory, cost - exchange.charged)
    elif fs_budget_take(memory, cost - exchange.charged) < 0:
        return FS_E_NO_ROOM
    exchange.charged = cost
    return FS_OK


cdef inline void take_place(Exchange exchange) noexcept:
    exchange.counts = True
    exchange.driver.running += 1
    exchange.driver.status.running = exchange.driver.running


cdef inline void leave_place(Exchange exchange) noexcept:
    """Gives up an exchange's place, once neither the client nor the application has to do with it: an application that
    goes on without its client still takes memory and time, so --limit-concurrency counts it."""
    charge(exchange, 0, True)
    if exchange.counts:
        exchange.counts = False
        exchange.driver.running -= 1
        exchange.driver.status.running = exchange.driver.running
        if exchange.driver.queue_length:
            admit(exchange.driver)
    elif exchange.waits:
        leave_queue(exchange)


cdef object application_error(int error):
    cdef const fs_error_info *info = fs_error_describe(error)
    text = info.text.decode()
    if error == FS_E_NOMEM:
        return MemoryError(text)
    if error == FS_E_APP_ORDER or error == FS_E_INTERNAL:
        return RuntimeError(text)
    return ValueError(text)
