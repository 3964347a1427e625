# HTTP/1 on a connection: one request at a time, and the next one after its answer. The machine is in ext/proto/h1.h.

cdef enum:
    DIRECT_MIN = 32768          # least bytes of body that are worth receiving into their final place
    DIRECT_MAX = 262144         # most bytes for which room is made


@cython.final
@cython.no_gc_clear     # __dealloc__ needs the driver, whose memory the machine refers to
cdef class H1Session(Session):

    def __cinit__(self, Connection connection):
        self.connection = connection
        self.driver = connection.driver
        fs_h1_init(&self.h1, &self.driver.h1_shared, &connection.sink.base)

    def __dealloc__(self):
        fs_h1_free(&self.h1)

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        if self.exchange is not None:
            if self.tunnel:
                return self.exchange.wants_data()
            if self.exchange.held >= self.driver.limits.body_high_water:
                return False
            # A complete message waits for its answer: what follows it is pipelined and stays in the kernel, except for
            # the peer's FIN, of which the application is told at once.
            if self.exchange.body_ended and not self.connection.flags & CONN_PEER_CLOSED:
                return fs_h1_unread(&self.h1) == 0
        return fs_h1_unread(&self.h1) < self.driver.buffer_size

    cdef uint64_t body_wanted(self) noexcept:
        cdef uint64_t wanted
        if self.exchange is None:
            return 0
        wanted = fs_h1_body_wanted(&self.h1)
        return wanted if wanted >= DIRECT_MIN else 0

    cdef bint receive_direct(self) except -1:
        """Receives body bytes straight to where the exchange keeps them: one copy less for large uploads."""
        cdef Connection connection = self.connection
        cdef Exchange exchange = self.exchange
        cdef size_t room = 0
        cdef char *place = exchange.body_room(min(<uint64_t>DIRECT_MAX, fs_h1_body_wanted(&self.h1)), &room)
        cdef ssize_t n = fs_recv(connection.fd, place, room)
        cdef int end = 0
        cdef int result
        if n <= 0:
            exchange.body_filled(0, False)
            return connection.receive_failed(n)
        connection.note_received(n, room)
        result = fs_h1_body_direct(&self.h1, n, &end)
        exchange.body_filled(n, end != 0)
        if result < 0:
            connection.refuse(result)
        return True

    cdef int feed(self, char *p, size_t n) noexcept:
        return fs_h1_feed(&self.h1, p, n)

    cdef int settle(self) noexcept:
        return fs_h1_settle(&self.h1)

    cdef raises not_kept(self, int error) except -1:
        if error == FS_E_NO_ROOM and self.exchange is None:
            self.refuse(error)
        else:
            self.connection.lose(error)

    cdef raises on_eof(self) except -1:
        cdef int result = fs_h1_eof(&self.h1)
        cdef Exchange exchange = self.exchange
        if exchange is not None:
            exchange.on_disconnect()
            if self.exchange is exchange and not exchange.started:
                exchange.start()
        elif result < 0:
            self.refuse(result)
        elif not fs_h1_busy(&self.h1) and backlog(self.connection) == 0:
            self.connection.finish()

    # ---- events

    cdef raises events(self) except -1:
        cdef Connection connection = self.connection
        cdef fs_event event
        cdef Exchange exchange
        cdef int result
        while connection.fd >= 0 and not connection.flags & CONN_LINGERING:
            exchange = self.exchange
            if exchange is not None:
                if self.tunnel:
                    return self.take_tunnel()
                if exchange.held >= self.driver.limits.body_high_water:
                    if exchange.started:
                        return 0
                    exchange.start()
                    continue
            elif self.must_pause():
                return 0
            result = fs_h1_next(&self.h1, &event)
            if result < 0:
                connection.refuse(result)
                return 0
            if event.kind == FS_EVENT_HEAD:
                connection.open_exchange(&event)
            elif event.kind == FS_EVENT_BODY:
                if exchange is not None:
                    exchange.on_body(event.data.p, event.data.n, event.end != 0)
                    if event.end and not exchange.started and exchange.stream != NULL:
                        exchange.start()
            elif event.kind == FS_EVENT_END:
                if exchange is not None:
                    exchange.on_end()
                    if not exchange.started and exchange.stream != NULL:
                        exchange.start()
            elif exchange is not None and not exchange.started:
                exchange.start()
            else:
                return 0

    cdef bint must_pause(self) except -1:
        """Whether the next request has to wait or never comes: looking for room may find the peer gone."""
        cdef Connection connection = self.connection
        if connection.queue.size >= self.driver.limits.high_water:
            if connection.is_full():
                connection.wait_for_room()      # answers pile up until they have left
                return True
            if connection.fd < 0:
                return True
        if connection.answered >= self.driver.limits.max_pipelined and fs_h1_unread(&self.h1):
            connection.rest()
            return True
        return False

    cdef raises take_tunnel(self) except -1:
        cdef fs_event event
        cdef int result
        cdef Exchange exchange = self.exchange
        if exchange.wants_data():
            exchange.on_data(NULL, 0)
        while self.exchange is exchange and exchange.wants_data():
            result = fs_h1_next(&self.h1, &event)
            if result < 0:
                self.connection.lose(result)
                return 0
            if event.kind != FS_EVENT_DATA:
                break
            exchange.on_data(<char *>event.data.p, event.data.n)
        if self.exchange is exchange:
            exchange.on_data_end()

    # ---- its exchange

    cdef raises attach(self, Exchange exchange, fs_event *event) except -1:
        event.stream.exchange = <void *>exchange
        self.exchange = exchange

    cdef raises release(self, Exchange exchange) except -1:
        self.exchange = None
        exchange.detach()

    cdef list exchanges(self):
        return [self.exchange] if self.exchange is not None else []

    cdef bint awaits_step(self) noexcept:
        return self.exchange is not None and self.exchange.queued

    cdef raises refuse(self, int error) except -1:
        cdef Exchange exchange = self.exchange
        cdef bint answered = self.h1.stream.head_sent != 0
        refused(self.connection, error, None if exchange is None else request_of(exchange))
        if exchange is None:
            fs_h1_refuse(&self.h1, error)
            log_rejected(self.connection, error)
            return 0
        exchange.on_refused()           # calls an application that was not called yet, which may end the connection
        if self.exchange is not exchange:
            return 0
        fs_h1_refuse(&self.h1, error)
        exchange.log(self.h1.stream.status if answered else fs_error_describe(error).status)
        if self.exchange is exchange:
            self.release(exchange)

    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1:
        return self.connection.refuse(error)

    cdef raises response_ended(self, Exchange exchange) except -1:
        cdef Exchange ended = self.exchange             # ours is often the last reference
        cdef Connection connection = self.connection
        if ended is None or ended is not exchange:
            return 0
        if needs_receipt(connection, backlog(connection)):
            add_receipt(connection, ended, NULL)
        if self.driver.queues:
            connection.free_since = fs_monotonic_ms()
        if self.exchange is ended:
            self.release(ended)
        connection.written()

    cdef raises lose_all(self) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None:
            return 0
        exchange.on_lost()
        if self.exchange is exchange:
            exchange.log_departure(self.connection.error)
        if self.exchange is exchange:
            self.release(exchange)

    # ---- what an exchange asks

    cdef bint reads_for(self, Exchange exchange) noexcept:
        return True

    cdef bint has_input(self) noexcept:
        return self.connection.flags & CONN_READABLE or fs_h1_unread(&self.h1)

    cdef raises tunnel_opened(self) except -1:
        self.tunnel = True

    cdef bint is_full(self, Exchange exchange) except -1:
        return self.connection.is_full()

    cdef uint64_t unsent(self, Exchange exchange) noexcept:
        return backlog(self.connection)

    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1:
        return has_left(self.connection.fd)

    # ---- bytes out

    cdef raises note_room(self) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is not None and backlog(self.connection) <= self.driver.limits.low_water:
            exchange.on_writable()

    # ---- time

    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept:
        # Nothing that runs here can let go of these objects: a local variable would cost a reference at every turn.
        cdef const fs_limits *limits = &self.driver.limits
        if self.exchange is not None:
            return self.waits_for_exchange(since, deadline)
        if self.h1.reading == FS_H1_READ_HEAD:
            since[0] = self.request_since(PHASE_HEAD)
            deadline[0] = since[0] + limits.timeout_head
            return PHASE_HEAD
        if self.h1.reading == FS_H1_READ_SKIP:
            since[0] = self.connection.read_progress
            deadline[0] = since[0] + limits.timeout_body
            return PHASE_BODY
        if self.driver.drain_until:
            since[0] = deadline[0] = self.driver.drain_until
            return PHASE_DRAIN
        if self.h1.requests == 0:
            since[0] = self.connection.since if self.connection.phase == PHASE_FIRST_BYTE else self.driver.now
            deadline[0] = since[0] + limits.timeout_first_byte
            return PHASE_FIRST_BYTE
        since[0] = self.request_since(PHASE_KEEP_ALIVE)
        deadline[0] = since[0] + limits.timeout_keep_alive
        return PHASE_KEEP_ALIVE

    cdef Phase waits_for_exchange(self, uint64_t *since, uint64_t *deadline) noexcept:
        if self.exchange.wants_body():
            if self.connection.phase != PHASE_BODY:
                self.connection.read_progress = self.driver.now     # the client is late from now on, not from before
            since[0] = self.connection.read_progress
            deadline[0] = since[0] + self.driver.limits.timeout_body
            return PHASE_BODY
        since[0] = deadline[0] = self.exchange.due()
        return PHASE_APPLICATION if deadline[0] else PHASE_NONE

    cdef uint64_t request_since(self, Phase phase) noexcept:
        """Returns since when it waits for the rest of this head, or for the next request."""
        if self.connection.phase == phase and self.head_number == self.h1.requests:
            return self.connection.since
        self.head_number = self.h1.requests
        return self.driver.now

    cdef bint awaits_peer(self) noexcept:
        return self.connection.phase != PHASE_APPLICATION or self.exchange is None or self.exchange.awaits_peer()

    cdef raises expired(self, uint64_t now) except -1:
        cdef Phase phase = self.connection.phase
        cdef Exchange exchange = self.exchange      # which may end in that call
        if phase == PHASE_HEAD or phase == PHASE_BODY and exchange is not None:
            self.connection.refuse(FS_E_TIMEOUT)
        elif phase == PHASE_APPLICATION and exchange is not None:
            exchange.on_overdue()
        else:
            self.connection.close(False)

    cdef raises drain(self) except -1:
        """An idle connection gets until `drain_until` to bring one more request."""
        set_deadline(self.connection)

    # ---- the end

    cdef bint is_finished(self) except -1:
        return (self.exchange is None
                and (fs_h1_must_close(&self.h1) or self.connection.flags & CONN_EOF and not fs_h1_unread(&self.h1))
                and backlog(self.connection) == 0)

    cdef bint is_complete(self) noexcept:
        return self.exchange is None and fs_h1_must_close(&self.h1) and not fs_h1_must_reset(&self.h1)

    cdef bint must_reset(self) noexcept:
        return fs_h1_must_reset(&self.h1)

    cdef bint must_linger(self) noexcept:
        return fs_h1_must_linger(&self.h1)
