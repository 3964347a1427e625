# One connection: the turn (feed, drain the events, flush, settle), its deadlines and its end.

# ---- fs_sink over an out-queue

cdef char *sink_reserve(fs_sink *sink, size_t n) noexcept nogil:
    return fs_outqueue_reserve((<QueueSink *>sink).queue, n)


cdef void sink_commit(fs_sink *sink, size_t n) noexcept nogil:
    fs_outqueue_commit((<QueueSink *>sink).queue, n)


cdef int sink_share(fs_sink *sink, const char *p, size_t n, void *owner) noexcept nogil:
    return FS_OK if fs_outqueue_share((<QueueSink *>sink).queue, p, n, owner) == 0 else FS_E_NOMEM


cdef int sink_file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner) noexcept nogil:
    return FS_OK if fs_outqueue_file((<QueueSink *>sink).queue, fd, offset, n, owner) == 0 else FS_E_NOMEM


cdef enum:
    LOOK_MS = 1000              # between two looks at what a peer has acknowledged that does not take all
    FLUSH_BUDGET = 4 << 20      # bytes one connection may send in a turn
    RECEIVES_A_TURN = 16        # a fast sender does not keep the worker from the others
    PULLS_A_TURN = 8            # an application that reads a body keeps the loop from the others no longer than this
    DIRECT_MIN = 32768          # bytes of body that are worth receiving into their final place
    DIRECT_MAX = 262144         # and the most that is made room for
    GRACE_MAX = 86400000        # ms by which a deadline moves at most when the worker stood still


@cython.final
@cython.no_gc_clear     # __dealloc__ needs the driver, whose memory the protocol machine refers to
cdef class Connection:

    def __cinit__(self, Driver driver not None, int fd):
        self.driver = driver
        self.fd = fd
        fs_outqueue_init(&self.queue, &driver.pool)
        self.sink.base.reserve = sink_reserve
        self.sink.base.commit = sink_commit
        self.sink.base.share = sink_share
        self.sink.base.file = sink_file
        self.sink.queue = &self.queue
        fs_h1_init(&self.h1, &driver.h1_shared, &self.sink.base)
        self.phase = PHASE_FIRST_BYTE
        self.since = driver.now
        self.stalled = driver.stalled
        self.deadline = driver.now + driver.limits.timeout_first_byte
        fs_wheel_arm(&driver.wheel, &self.timer, self.deadline)
        if FS_DEBUG:
            live_objects["connections"] += 1

    def __dealloc__(self):
        # close() has run, or the connection never came into the driver's table.
        fs_wheel_disarm(&self.driver.wheel, &self.timer)
        fs_h1_free(&self.h1)
        fs_outqueue_clear(&self.queue)      # what a stream has queued after the close: a refusal, a reset
        if FS_DEBUG:
            live_objects["connections"] -= 1

    # ---- what wakes it

    cdef int ready(self, uint32_t events) except -1:
        if events & (FS_READABLE | FS_PEER_CLOSED | FS_HANGUP):
            self.flags |= CONN_READABLE
        if events & FS_PEER_CLOSED:
            self.flags |= CONN_PEER_CLOSED
        if events & FS_HANGUP:
            # Both directions are gone. What had arrived before is still served, its answer has nowhere to go.
            self.flags |= CONN_PEER_CLOSED
            self.turn()
            self.flush()
            self.lost(FS_E_PEER_GONE)
        elif events & (FS_READABLE | FS_PEER_CLOSED) or backlog(self):
            self.turn()

    cdef int turn(self) except -1:
        cdef Driver driver = self.driver
        cdef int rounds = 0
        if self.fd < 0 or self.flags & CONN_IN_TURN:
            return 0
        if driver.buffer_held:
            driver.schedule(self)       # asked for inside another one's turn: the buffer has that one's bytes in it
            return 0
        driver.buffer_held = True
        self.flags |= CONN_IN_TURN
        self.flags &= ~<uint32_t>(CONN_MORE | CONN_STALLED)
        self.answered = 0
        self.pulls = 0
        try:
            self.drain_events()
            while self.fd >= 0 and self.wants_bytes():
                if rounds == RECEIVES_A_TURN:
                    driver.schedule(self)
                    break
                rounds += 1
                if rounds > 1 and not self.settle_machine():    # the next recv overwrites the shared buffer
                    break
                if not self.receive_bytes():
                    break
                self.drain_events()
            # The next connection receives into the same buffer: what must outlive it is copied now.
            if self.fd >= 0:
                self.settle_machine()
        except BaseException as failure:
            self.broken(failure)
        finally:
            driver.buffer_held = False
            self.flags &= ~<uint32_t>CONN_IN_TURN
        if self.exchange is not None and self.exchange.queued and backlog(self) == 0:
            self.set_deadline()         # the application's step comes next, and another turn after it
        elif driver.polling:
            driver.defer(self)
        else:
            self.end_turn()
        return 0

    cdef int end_turn(self) except -1:
        """Sends what the turn has queued and settles what the connection waits for now."""
        if self.fd < 0 or self.flags & CONN_IN_TURN:
            return 0
        self.flags |= CONN_IN_TURN
        try:
            self.flush()
            if self.fd >= 0:
                self.settle()
        except BaseException as failure:
            self.broken(failure)
        finally:
            self.flags &= ~<uint32_t>CONN_IN_TURN
        return 0

    cdef bint settle_machine(self) except -1:
        """Copies what must outlive the shared buffer. False where it cannot be kept, which is the connection's end."""
        cdef int result = fs_h1_settle(&self.h1) if self.session is None else fs_h2_settle(&self.session.h2)
        if result == FS_OK:
            return True
        if result == FS_E_NO_ROOM and self.session is not None:
            fs_h2_fail(&self.session.h2, result)
            self.session.failed(result)
        elif result == FS_E_NO_ROOM and self.exchange is None:
            self.refuse(result)
        else:
            self.lost(result)
        self.driver.say_no_room(result)
        return False

    cdef int broken(self, object failure) except -1:
        """Never raises: whoever calls it has others to serve."""
        report(self.driver.logger, LOG_CRITICAL, "Internal error: the connection is closed", (), failure)
        self.driver.count_error(FS_E_INTERNAL)
        try:
            self.lost(FS_E_INTERNAL)
        except BaseException as another:
            report(self.driver.logger, LOG_CRITICAL, "Internal error: the connection's end has failed", (), another)
        return 0

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        """Whether recv is due. Pausing a reader is nothing but not asking: the flag remembers."""
        if not self.flags & CONN_READABLE or self.flags & (CONN_EOF | CONN_MORE | CONN_STALLED):
            return False
        if self.session is not None:
            return fs_h2_unread(&self.session.h2) == 0
        if self.exchange is not None:
            if self.flags & CONN_TUNNEL:
                return self.exchange.wants_data()
            if self.exchange.held >= self.driver.limits.body_high_water:
                return False
            # A complete message waits for its answer: what follows it is pipelined and stays in the kernel, but for
            # the peer's FIN, which the application is told of at once.
            if self.exchange.body_ended and not self.flags & CONN_PEER_CLOSED:
                return fs_h1_unread(&self.h1) == 0
        return fs_h1_unread(&self.h1) < self.driver.buffer_size

    cdef bint receive_bytes(self):
        """One recv, fed to the protocol. False when the socket is drained."""
        cdef Driver driver = self.driver
        cdef ssize_t n, taken = 0
        cdef size_t room = receive_room(self)
        if self.tls is not None:
            if self.tls.state == TLS_HANDSHAKE and driver.handshakes >= HANDSHAKES_A_TURN:
                driver.schedule(self)
                return False
            if self.tls.ended and not self.flags & CONN_LINGERING:
                return self.receive_failed(0)
            room -= TLS_ROOM
        elif (self.exchange is not None and fs_h1_body_wanted(&self.h1) >= DIRECT_MIN
                and not self.flags & CONN_LINGERING):
            return self.receive_direct() > 0
        n = fs_recv(self.fd, driver.buffer, room)
        if n > 0:
            driver.status.bytes_in += n
            self.read_progress = driver.now
            if <size_t>n < room and not self.flags & CONN_PEER_CLOSED:
                self.flags &= ~<uint32_t>CONN_READABLE      # drained: epoll(7), edge-triggered
            if self.flags & CONN_LINGERING:
                return True         # for how long is the deadline's business
            if self.flags & CONN_PROXIED:
                taken = self.take_proxy_header(driver.buffer, n)
                if self.fd < 0 or taken == n:
                    return self.fd >= 0
            if self.tls is not None:
                n = self.receive_tls(taken, n)
                if n == 0:
                    return self.fd >= 0
                taken = 0
            self.feed(driver.buffer + taken, n - taken)
            return True
        return self.receive_failed(n)

    cdef int feed(self, char *p, size_t n) except -1:
        """Gives the protocol what has come; the first bytes say which it is (RFC 9113 section 3.3)."""
        cdef int result
        if self.session is None and self.h1.requests == 0 and self.driver.http != HTTP_1_ONLY:
            if self.opening is not None or p[0] == c'P' or self.driver.http == HTTP_2_ONLY:
                if self.take_opening(p, n):
                    return 0
        if self.session is not None:
            result = fs_h2_feed(&self.session.h2, p, n, self.driver.now)
        else:
            result = fs_h1_feed(&self.h1, p, n)
        if result < 0:
            self.refuse(result)

    cdef bint take_opening(self, char *p, size_t n) except -1:
        """Whether these bytes are dealt with: as far as they are HTTP/2's preface it is waited for, and what is none goes
        to HTTP/1."""
        cdef Driver driver = self.driver
        cdef bytes whole = None
        cdef size_t size = n
        cdef char *start = p
        if self.h1.reading != FS_H1_READ_IDLE or fs_h1_unread(&self.h1):
            return False
        if self.opening is not None:
            whole = self.opening + PyBytes_FromStringAndSize(p, n)
            start = PyBytes_AS_STRING(whole)
            size = PyBytes_GET_SIZE(whole)
        if memcmp(start, FS_H2_PREFACE, min(size, FS_H2_PREFACE_LEN)) == 0:
            if size < FS_H2_PREFACE_LEN:
                self.opening = PyBytes_FromStringAndSize(start, size)
                return True
            self.begin_http2()
        elif driver.http == HTTP_2_ONLY:
            self.opening = None
            self.refuse(FS_E_VERSION)
            return True
        if self.opening is None:
            return False
        self.opening = None
        if FS_DEBUG:
            assert size <= driver.buffer_size
        memcpy(driver.buffer, start, size)      # receive_room() has left room for what was kept
        self.feed(driver.buffer, size)
        return True

    cdef int begin_http2(self) except -1:
        self.session = H2Session.__new__(H2Session, self)
        self.driver.status.http2_connections += 1
        if self.driver.drain_until:
            fs_h2_drain(&self.session.h2, 0)
        self.written()

    cdef Py_ssize_t receive_tls(self, Py_ssize_t taken, Py_ssize_t n) except -1:
        """Deciphers what was received; how much plaintext lies at the beginning of the buffer now."""
        cdef Driver driver = self.driver
        cdef TLSFilter tls = self.tls
        if tls.fresh:
            tls.fresh = False
            if speaks_http(driver.buffer + taken, n - taken):
                self.tls = None
                self.refuse(FS_E_PLAIN_HTTP)
                return 0
        try:
            tls.incoming.write(driver.view[taken:n])
            if tls.state == TLS_HANDSHAKE and not self.shake_hands():
                return 0
            n = tls.decrypt(driver.buffer, receive_room(self), driver.view)
        except ssl.SSLError as error:
            self.tls_failed(error)
            return 0
        if tls.ended:
            self.flags |= CONN_READABLE     # the next look at the socket says so, once this is dealt with
        return n

    cdef bint shake_hands(self) except -1:
        """Whether the handshake is done."""
        cdef Driver driver = self.driver
        driver.handshakes += 1
        if not self.tls.shake(driver.logger):
            return False
        driver.status.tls_handshakes += 1
        if self.tls.ssl.selected_alpn_protocol() == "h2":
            self.begin_http2()
        return True

    cdef int begin_tls(self, object settings) except -1:
        self.tls = TLSFilter.__new__(TLSFilter, self.driver, settings)
        self.phase = PHASE_TLS
        self.since = self.driver.now
        self.deadline = self.driver.now + self.driver.limits.timeout_tls_handshake
        fs_wheel_arm(&self.driver.wheel, &self.timer, self.deadline)

    cdef int tls_failed(self, object error) except -1:
        """The peer speaks no TLS that is allowed here, or not any more: it gets the alert, and nothing after it."""
        cdef uint64_t sent = 0
        report(self.driver.logger, LOG_DEBUG, "TLS failed: %s", (error,))
        if self.tls.state != TLS_HANDSHAKE:
            self.lost(FS_E_TLS)
            return 0
        self.driver.count_error(FS_E_TLS)
        self.flush_tls(&sent)
        self.driver.status.bytes_out += sent
        if fs_shutdown_write(self.fd) < 0:
            self.close(True)
            return 0
        self.flags |= CONN_LINGERING

    cdef bint receive_failed(self, ssize_t n):
        if n == FS_AGAIN:
            self.flags &= ~<uint32_t>(CONN_READABLE | CONN_PEER_CLOSED)
        elif n == 0:
            self.flags &= ~<uint32_t>CONN_READABLE
            self.flags |= CONN_EOF
            self.peer_closed()
        else:
            self.lost(FS_E_PEER_GONE)
        return False

    cdef int receive_direct(self) except -1:
        """Body bytes straight to where the exchange keeps them: one copy less for large uploads."""
        cdef Driver driver = self.driver
        cdef Exchange exchange = self.exchange
        cdef size_t room = 0
        cdef char *place = exchange.body_room(min(<uint64_t>DIRECT_MAX, fs_h1_body_wanted(&self.h1)), &room)
        cdef ssize_t n = fs_recv(self.fd, place, room)
        cdef int end = 0
        cdef int result
        if n <= 0:
            exchange.body_filled(0, False)
            return self.receive_failed(n)
        driver.status.bytes_in += n
        self.read_progress = driver.now
        if <size_t>n < room and not self.flags & CONN_PEER_CLOSED:
            self.flags &= ~<uint32_t>CONN_READABLE
        result = fs_h1_body_direct(&self.h1, n, &end)
        exchange.body_filled(n, end != 0)
        if result < 0:
            self.refuse(result)
        return 1

    cdef int peer_closed(self) except -1:
        """The peer's FIN. It may only have closed its half: what it asked for is still answered."""
        cdef Exchange exchange
        cdef int result
        if self.flags & CONN_LINGERING:
            self.close(False)
            return 0
        if self.proxy_part is not None:
            self.lost(FS_E_PROXY_HEADER)
            return 0
        if self.tls is not None and self.tls.state == TLS_HANDSHAKE:
            if not self.tls.fresh:
                self.driver.count_error(FS_E_TLS)
            self.close(False)
            return 0
        if self.opening is not None:
            opening, self.opening = self.opening, None
            fs_h1_feed(&self.h1, PyBytes_AS_STRING(opening), PyBytes_GET_SIZE(opening))
            self.drain_events()
            if self.fd < 0:
                return 0
        if self.session is not None:
            for exchange in self.session.exchanges():
                exchange.on_disconnect()
            return 0
        result = fs_h1_eof(&self.h1)
        exchange = self.exchange
        if exchange is not None:
            exchange.on_disconnect()
            if self.exchange is exchange and not exchange.started:
                exchange.start()
        elif result < 0:
            self.refuse(result)
        elif not fs_h1_busy(&self.h1) and backlog(self) == 0:
            self.finish()

    # ---- who is behind a proxy (the PROXY protocol)

    cdef int expect_proxy_header(self, object proxied) except -1:
        """`proxied` says of a peer's host, None for a Unix socket's, whether its connections begin with a header."""
        client = self.client_address()
        try:
            if proxied(client[0] if client is not None else None):
                self.flags |= CONN_PROXIED
        except BaseException as failure:
            self.broken(failure)
        return 0

    cdef Py_ssize_t take_proxy_header(self, const char *p, size_t n) except -1:
        """How many of the first bytes are the header's. A peer that is expected to send one and does not is not
        answered: who it is cannot be known."""
        cdef fs_proxy_header header
        cdef bytes whole
        cdef Py_ssize_t before = 0
        cdef int result
        if self.proxy_part is None:
            result = fs_proxy_header_parse(p, n, &header)
        else:
            before = PyBytes_GET_SIZE(self.proxy_part)
            whole = self.proxy_part + PyBytes_FromStringAndSize(p, n)
            result = fs_proxy_header_parse(PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole), &header)
        if result == 0:
            self.proxy_part = PyBytes_FromStringAndSize(p, n) if before == 0 else whole
            return n
        if result < 0:
            report(self.driver.logger, LOG_DEBUG, "Refused connection: %s", (fs_error_describe(result).text.decode(),))
            self.lost(result)
            return 0
        self.take_addresses(&header)
        self.proxy_part = None
        self.flags &= ~<uint32_t>CONN_PROXIED
        return result - before

    cdef int take_addresses(self, const fs_proxy_header *header) except -1:
        cdef fs_address address
        cdef char text[FS_ADDRESS_TEXT]
        if header.family == FS_PROXY_NONE:
            return 0
        self.client = None
        if header.family == FS_PROXY_UNIX:
            self.peer.family = FS_FAMILY_UNIX
            if header.path.n:
                self.server = (os.fsdecode(header.path.p[:header.path.n]), None)
            return 0
        self.peer.family = FS_FAMILY_INET if header.family == FS_PROXY_INET else FS_FAMILY_INET6
        self.peer.port = header.source.port
        memcpy(self.peer.ip, header.source.ip, sizeof(self.peer.ip))
        address.family = self.peer.family
        memcpy(address.ip, header.destination.ip, sizeof(address.ip))
        self.server = (PyUnicode_DecodeLatin1(text, fs_address_format(&address, text), NULL), header.destination.port)
        return 0

    # ---- events

    cdef int drain_events(self) except -1:
        cdef Driver driver = self.driver
        cdef fs_event event
        cdef Exchange exchange
        cdef int result
        if self.session is not None:
            return self.session.events()
        while self.fd >= 0 and not self.flags & CONN_LINGERING:
            exchange = self.exchange
            if exchange is not None:
                if self.flags & CONN_TUNNEL:
                    return self.drain_tunnel()
                if exchange.held >= driver.limits.body_high_water:
                    if exchange.started:
                        return 0
                    exchange.start()
                    continue
            elif self.must_pause():
                return 0
            result = fs_h1_next(&self.h1, &event)
            if result < 0:
                self.refuse(result)
                return 0
            if event.kind == FS_EVENT_HEAD:
                self.open_exchange(&event)
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
        """Whether the next request has to wait, or never comes: looking for room may find the peer gone."""
        cdef Driver driver = self.driver
        if self.queue.size >= driver.limits.high_water:
            if self.full(None):
                self.flags |= CONN_STALLED      # answers pile up until they have left
                return True
            if self.fd < 0:
                return True
        if self.answered >= driver.limits.max_pipelined and fs_h1_unread(&self.h1):
            self.flags |= CONN_MORE
            driver.schedule(self)
            return True
        return False

    cdef int drain_tunnel(self) except -1:
        cdef fs_event event
        cdef int result
        cdef Exchange exchange = self.exchange
        if exchange.wants_data():
            exchange.on_data(NULL, 0)
        while self.exchange is exchange and exchange.wants_data():
            result = fs_h1_next(&self.h1, &event)
            if result < 0:
                self.lost(result)
                return 0
            if event.kind != FS_EVENT_DATA:
                break
            exchange.on_data(<char *>event.data.p, event.data.n)
        if self.exchange is exchange:
            exchange.on_data_end()

    cdef int open_exchange(self, fs_event *event) except -1:
        cdef Driver driver = self.driver
        cdef Exchange exchange
        cdef int error
        cdef bint waits = False
        self.answered += 1
        driver.status.requests_total += 1
        if self.flags & CONN_REDIRECT:
            self.redirect(event)
            return 0
        if driver.limits.max_concurrency and driver.running >= driver.limits.max_concurrency:
            if driver.queue_length >= driver.limits.max_queue:
                self.refuse_unopened(event, FS_E_OVERLOADED)
                return 0
            waits = True
        if not event.head.flags & (FS_HEAD_END | FS_HEAD_UPGRADE_WEBSOCKET):
            error = driver.interface.refusal(&event.head)
            if error < 0:
                self.refuse_unopened(event, error)
                return 0
        exchange = driver.interface.open(&event.head)
        exchange.connection = self
        exchange.stream = event.stream
        if self.session is None:
            event.stream.exchange = <void *>exchange
            self.exchange = exchange
        else:
            self.session.attach(exchange, event.stream)
        driver.in_flight += 1
        driver.status.in_flight = driver.in_flight
        if waits:
            join_queue(exchange)
        else:
            take_place(exchange)
        exchange.begun_us = driver.now_us
        exchange.row = fs_status_begin_row(driver.status, &driver.free_rows, driver.now, event.head.method,
                                           event.head.target)
        exchange.begin(&event.head)
        if event.head.flags & FS_HEAD_END:
            exchange.start()
        elif self.session is not None:
            self.session.fresh = exchange

    cdef int refuse_unopened(self, fs_event *event, int error) except -1:
        """The worker has no room for another request, or for its body: it is answered before anything is done with it."""
        cdef fs_stream *stream = event.stream
        cdef Driver driver = self.driver
        cdef int status = fs_error_describe(error).status
        driver.count_error(error)
        driver.status.overloaded += error == FS_E_OVERLOADED
        fs_status_count_response(driver.status, status)
        if send_status(stream, status) < 0:
            stream.ops.abort(stream, error)
        self.log_answer(event)
        driver.say_no_room(error)

    cdef int log_answer(self, fs_event *event) except -1:
        """The access log's line of an answer that is the server's own."""
        cdef Driver driver = self.driver
        if driver.access_log.fd >= 0:
            driver.access_log.line(self.client_address(), method_name(event.head.method),
                                   PyBytes_FromStringAndSize(event.head.path.p, event.head.path.n),
                                   PyBytes_FromStringAndSize(event.head.query.p, event.head.query.n),
                                   event.head.version, event.stream.status, event.stream.body_sent, 0, driver.now)

    cdef int redirect(self, fs_event *event) except -1:
        """308 to the same target by https: method and body are kept (RFC 9110 section 15.4.9)."""
        cdef Driver driver = self.driver
        cdef fs_stream *stream = event.stream
        cdef bytes location = https_location(&event.head, self.listener.redirect)
        if send_redirect(stream, location) < 0:
            stream.ops.abort(stream, FS_E_INTERNAL)
        fs_status_count_response(driver.status, stream.status)
        self.log_answer(event)

    cdef int refuse_exchange(self, Exchange exchange, int error) except -1:
        """What follows of a request cannot be taken."""
        return self.refuse(error) if self.session is None else self.session.refuse_exchange(exchange, error)

    cdef int refuse(self, int error) except -1:
        """The peer's fault: answered with its status where it can be, then the connection ends."""
        cdef Driver driver = self.driver
        cdef Exchange exchange = self.exchange
        cdef bint answered = self.h1.stream.head_sent != 0
        if self.fd < 0:
            return 0
        if self.session is not None:
            self.session.failed(error)
            return 0
        driver.count_error(error)
        if exchange is None:
            fs_h1_refuse(&self.h1, error)
            self.log_rejected(error)
            return 0
        exchange.on_refused()           # an application that was not called yet is called now, and may end the connection
        if self.exchange is not exchange:
            return 0
        fs_h1_refuse(&self.h1, error)
        exchange.log(self.h1.stream.status if answered else fs_error_describe(error).status)
        if self.exchange is exchange:
            self.exchange = None
            exchange.detach()

    cdef int log_rejected(self, int error) except -1:
        cdef Driver driver = self.driver
        cdef int status = fs_error_describe(error).status
        if status:
            fs_status_count_response(driver.status, status)
        if driver.access_log.fd >= 0 and status:
            driver.access_log.line(self.client_address(), None, None, None, FS_HTTP_1_1, status, 0, 0, driver.now)

    # ---- what an exchange calls

    cdef bint full(self, Exchange exchange):
        """Whether `send` has to wait. Above the high-water mark the socket is asked first."""
        if self.session is not None and exchange is not None:
            return self.session.is_full(exchange)
        if backlog(self) < self.driver.limits.high_water:
            return False
        if not self.flags & CONN_FLUSHING:
            self.flush()
        return self.fd >= 0 and backlog(self) >= self.driver.limits.high_water

    cdef int written(self) except -1:
        """Something was queued. Inside a turn it leaves at the turn's end, elsewhere when the loop comes round."""
        if not self.flags & (CONN_IN_TURN | CONN_SCHEDULED) and self.fd >= 0:
            self.driver.schedule(self)

    cdef bint pull(self, Exchange exchange):
        """The application waits for body bytes: what the socket holds by now is received at once, within the
        application's own step, a few times a turn. Waking it through the loop costs more than the bytes do. An application
        that waits for another request's body inside its own first step is not served so: its own connection's bytes lie in
        the buffer."""
        cdef Driver driver = self.driver
        if (self.session is not None or self.flags & CONN_IN_TURN or self.fd < 0 or self.pulls == PULLS_A_TURN
                or driver.buffer_held or not self.wants_bytes()):
            return False
        self.pulls += 1
        driver.buffer_held = True
        self.flags |= CONN_IN_TURN
        try:
            if self.settle_machine():
                self.receive_bytes()
                self.drain_events()
            if self.fd >= 0:
                self.settle_machine()
        except BaseException as failure:
            self.broken(failure)
        finally:
            driver.buffer_held = False
            self.flags &= ~<uint32_t>CONN_IN_TURN
        if self.queue.size or self.exchange is None:
            self.written()
        return True

    cdef int want_body(self, Exchange exchange) except -1:
        """The application has taken body bytes, or waits for some: reading goes on where it was paused."""
        if not self.flags & (CONN_IN_TURN | CONN_SCHEDULED) and self.fd >= 0:
            if self.session is not None:
                if fs_h2_wants_pump(&self.session.h2):
                    self.driver.schedule(self)      # a window that opens
            elif self.flags & CONN_READABLE or fs_h1_unread(&self.h1):
                self.driver.schedule(self)

    cdef int body_awaited(self, Exchange exchange) except -1:
        """The application waits for body bytes: the client is late from now on, and not from before."""
        if self.session is not None and exchange.stream != NULL:
            (<fs_h2_stream *>exchange.stream).progress = (self.driver.now if self.flags & CONN_IN_TURN
                                                          else fs_monotonic_ms())
        self.written()      # a turn, at whose end the deadline is set

    cdef int response_ended(self, Exchange exchange) except -1:
        """The last byte of the answer is queued, or it was broken off. The next request may come."""
        cdef Exchange ended = self.exchange     # ours is often the last reference
        cdef Connection here = self             # and the exchange's may be the last one of ours
        if self.session is not None:
            return self.session.response_ended(exchange)
        if ended is None or ended is not exchange:
            return 0
        ended.log(ended.stream.status)
        if self.driver.queues:
            self.free_since = fs_monotonic_ms()
        if self.exchange is ended:
            self.exchange = None
            ended.detach()
        here.written()

    cdef list exchanges(self):
        """The requests that are being read or answered."""
        if self.session is not None:
            return self.session.exchanges()
        return [self.exchange] if self.exchange is not None else []

    cdef uint64_t unsent_of(self, Exchange exchange) noexcept:
        """Bytes of its answer that wait here."""
        cdef fs_h2_stream *stream = <fs_h2_stream *>exchange.stream
        return stream.body.size(stream.body) if self.session is not None else backlog(self)

    cdef fs_sink *open_tunnel(self, Exchange exchange, const fs_field *fields, uint32_t n) except NULL:
        """Accepts an upgrade; the exchange takes bytes from here on, and writes what it answers to the tunnel."""
        cdef fs_sink *tunnel = NULL
        cdef int result = exchange.stream.ops.upgrade(exchange.stream, fields, n, &tunnel)
        if result < 0:
            raise application_error(result)
        if self.session is None:
            self.flags |= CONN_TUNNEL
        return tunnel

    cdef tuple client_address(self):
        cdef char text[FS_ADDRESS_TEXT]
        cdef size_t n
        if self.client is None and (self.peer.family == FS_FAMILY_INET or self.peer.family == FS_FAMILY_INET6):
            n = fs_address_format(&self.peer, text)
            self.client = (PyUnicode_DecodeLatin1(text, n, NULL), self.peer.port)
        return self.client

    cdef dict tls_extension(self):
        """The scope's `tls` (ASGI TLS extension 0.2); a dict of the application's own."""
        if self.tls_scope is None:
            self.tls_scope = self.tls.settings.describe(self.tls.ssl)
        return PyDict_Copy(self.tls_scope)

    cdef dict tls_environ(self):
        """What an environ says of TLS, by mod_ssl's names. Not to be changed."""
        if self.tls_scope is None:
            self.tls_scope = self.tls.settings.environ(self.tls.ssl)
        return self.tls_scope

    cdef tuple server_address(self):
        cdef fs_address address
        cdef char text[FS_ADDRESS_TEXT]
        cdef size_t n
        if self.server is not None:
            return self.server
        if self.listener is not None and self.listener.server is not None:
            return self.listener.server
        # A listener on every address: each connection has its own.
        if fs_local_address(self.fd, &address) == 0 and address.family in (FS_FAMILY_INET, FS_FAMILY_INET6):
            n = fs_address_format(&address, text)
            self.server = (PyUnicode_DecodeLatin1(text, n, NULL), address.port)
        return self.server

    cdef bint trusted(self):
        cdef object host
        if not self.flags & CONN_TRUST_KNOWN:
            self.flags |= CONN_TRUST_KNOWN
            client = self.client_address()
            host = client[0] if client is not None else None
            if self.driver.forwarding is not None and self.driver.forwarding.trusts(host):
                self.flags |= CONN_TRUSTED
        return (self.flags & CONN_TRUSTED) != 0

    # ---- bytes out, and the end of a turn

    cdef int flush(self) except -1:
        """Sends what the socket takes. It may find the peer gone, and dropping what was sent may run the application's code:
        look again at whether the connection is still open, and which exchange it has."""
        cdef H2Session session = self.session
        cdef Exchange exchange
        cdef uint64_t sent = 0
        cdef int result = 0
        self.flags |= CONN_FLUSHING
        while self.fd >= 0:
            if session is not None:
                session.pump()
            if self.queue.head == NULL and (self.tls is None or self.tls.wire.head == NULL):
                result = 0
                break
            result = self.flush_socket(&sent)
            if result != 0 or session is None:
                break
            if sent >= FLUSH_BUDGET:
                result = FS_AGAIN
                break
        self.flags &= ~<uint32_t>CONN_FLUSHING
        if sent:
            self.driver.status.bytes_out += sent
            self.sent += sent
        if self.fd < 0:
            return 0
        if result == FS_AGAIN:
            if sent >= FLUSH_BUDGET:
                self.driver.schedule(self)
        elif result < 0:
            self.lost(FS_E_APP_FILE if result in (-ENODATA, -EIO, -EBADF) else FS_E_NOMEM if result == -ENOMEM
                      else FS_E_PEER_GONE)
            return 0
        exchange = self.exchange
        if session is not None:
            session.tell_drained()
        elif exchange is not None and backlog(self) <= self.driver.limits.low_water:
            exchange.on_drained()

    cdef int flush_socket(self, uint64_t *sent) except? -1:
        cdef uint64_t part = 0
        cdef int result
        if self.tls is not None:
            return self.flush_tls(sent)
        result = fs_outqueue_flush(&self.queue, self.fd, FLUSH_BUDGET, &part)
        sent[0] += part
        return result

    cdef int flush_tls(self, uint64_t *sent) except? -1:
        """Enciphers no more than the socket takes: what fs_outqueue_flush does, with TLS in between. What is on the wire
        already, such as the tickets of a handshake, leaves with what follows it, and close_notify with the last of it."""
        cdef TLSFilter tls = self.tls
        cdef uint64_t part
        cdef int result
        while True:
            if self.queue.size and tls.state == TLS_OPEN and tls.wire.size < RECORD_MAX:
                result = tls.encrypt(&self.queue)
                if result < 0:
                    return result
                if self.fd < 0:
                    return 0            # what was dropped has ended the connection
                if self.queue.size == 0 and self.says_goodbye():
                    tls.say_goodbye()
            part = 0
            result = fs_outqueue_flush(&tls.wire, self.fd, FLUSH_BUDGET, &part)
            sent[0] += part
            if result != 0 or self.queue.size == 0 or tls.state != TLS_OPEN:
                return result
            if sent[0] >= FLUSH_BUDGET:
                return FS_AGAIN

    cdef bint says_goodbye(self) noexcept:
        """Whether this is the end of the last answer, and it is complete: what was broken off must not look so."""
        return (self.session is None and self.exchange is None
                and fs_h1_must_close(&self.h1) and not fs_h1_must_reset(&self.h1))

    cdef int settle(self) except -1:
        """Ends the connection where it is due, or sets its deadline."""
        if self.session is not None:
            if self.flags & CONN_EOF and backlog(self) == 0:
                self.session.give_up_blocked()
                self.flush()
                if self.fd < 0:
                    return 0
            if not self.settle_machine() and self.fd < 0:
                return 0
            if backlog(self) == 0 and not self.flags & CONN_LINGERING and (
                    fs_h2_must_close(&self.session.h2) or self.flags & CONN_EOF and self.session.h2.open == 0):
                self.finish()
                if self.fd < 0:
                    return 0
        elif backlog(self) == 0 and self.exchange is None:
            if self.flags & CONN_LINGERING:
                pass
            elif fs_h1_must_close(&self.h1) or (self.flags & CONN_EOF and not fs_h1_unread(&self.h1)):
                self.finish()
                if self.fd < 0:
                    return 0
        if self.flags & CONN_STALLED and backlog(self) < self.driver.limits.high_water:
            self.driver.schedule(self)      # the last flush made room, and no event will say so
        self.set_deadline()

    cdef int finish(self) except -1:
        cdef uint64_t sent = 0
        if self.session is None and fs_h1_must_reset(&self.h1):
            self.close(True)        # nor a close_notify
            return 0
        if self.tls is not None:
            self.tls.say_goodbye()
            self.flush_tls(&sent)
            self.driver.status.bytes_out += sent
        if self.flags & CONN_EOF or self.session is None and not fs_h1_must_linger(&self.h1):
            self.close(False)
        else:
            # RFC 9112 section 9.6: bytes that nobody reads would turn the close into a reset, which may overtake the answer.
            if fs_shutdown_write(self.fd) < 0:
                self.close(False)
                return 0
            self.flags |= CONN_LINGERING
            self.driver.schedule(self)

    cdef void set_deadline(self) noexcept:
        """What the connection waits for now, and until when. The timer itself is moved only when it would fire late."""
        cdef Driver driver = self.driver
        cdef const fs_limits *limits = &driver.limits
        cdef Phase phase = PHASE_NONE
        cdef uint64_t since = 0         # when the wait began; phase and this tell one wait from another
        cdef uint64_t deadline = 0
        if self.flags & CONN_LINGERING:
            phase = PHASE_LINGER
            if self.phase != PHASE_LINGER:
                self.read_progress = driver.now
            since = self.since if self.phase == PHASE_LINGER else driver.now
            deadline = min(since + limits.timeout_discard, self.read_progress + limits.timeout_linger)
            if driver.drain_until:
                deadline = min(deadline, driver.drain_until + limits.timeout_linger)
        elif self.tls is not None and self.tls.state == TLS_HANDSHAKE:
            phase = PHASE_TLS
            since = self.since
            deadline = since + limits.timeout_tls_handshake
        elif backlog(self):
            phase = PHASE_WRITE
            if self.phase != PHASE_WRITE:
                self.peer_reads()
                self.write_progress = driver.now    # it is late from now on, not from before
            since = self.write_progress
            deadline = min(since + limits.timeout_write,
                           self.looked_at + max(1, min(<uint32_t>LOOK_MS, limits.timeout_write // 8)))
        elif self.session is not None:
            since = deadline = self.session.due()
            phase = PHASE_STREAMS
            if deadline == 0 and self.session.h2.open == 0:
                phase = PHASE_KEEP_ALIVE
                since = self.session.h2.framed_at
                deadline = since + limits.timeout_keep_alive
        elif self.exchange is not None:
            if self.exchange.wants_body():
                phase = PHASE_BODY
                if self.phase != PHASE_BODY:
                    self.read_progress = driver.now     # the client is late from now on, not from before
                since = self.read_progress
                deadline = since + limits.timeout_body
            else:
                since = deadline = self.exchange.due()
                if deadline:
                    phase = PHASE_APPLICATION
        elif self.h1.reading == FS_H1_READ_HEAD:
            phase = PHASE_HEAD
            since = self.request_since(phase)
            deadline = since + limits.timeout_head
        elif self.h1.reading == FS_H1_READ_DRAIN:
            phase = PHASE_BODY
            since = self.read_progress
            deadline = since + limits.timeout_body
        elif driver.drain_until:
            phase = PHASE_DRAIN
            since = deadline = driver.drain_until
        elif self.h1.requests == 0:
            phase = PHASE_FIRST_BYTE
            since = self.since if self.phase == PHASE_FIRST_BYTE else driver.now
            deadline = since + limits.timeout_first_byte
        else:
            phase = PHASE_KEEP_ALIVE
            since = self.request_since(phase)
            deadline = since + limits.timeout_keep_alive
        if phase != self.phase or since != self.since:
            self.phase = phase
            self.since = since
            self.grace = 0
            self.stalled = driver.stalled
        self.deadline = deadline + self.grace if deadline else 0
        if deadline and (self.timer.next == NULL or self.timer.due > self.deadline):
            fs_wheel_arm(&driver.wheel, &self.timer, self.deadline)

    cdef uint64_t request_since(self, Phase phase) noexcept:
        """Since when it waits for the rest of this head, or for the request after that one."""
        if self.phase == phase and self.head_number == self.h1.requests:
            return self.since
        self.head_number = self.h1.requests
        return self.driver.now

    # ---- deadlines that pass

    cdef int expired(self) except -1:
        """The timer fired: too early where the deadline has moved, or there is none. Comes when the batch's events are taken and
        its answers sent; what has arrived since, or could not be read while the worker stood still, is read first."""
        cdef Driver driver = self.driver
        if self.fd < 0 or self.deadline == 0 or self.flags & (CONN_IN_TURN | CONN_DEFERRED):
            return 0        # a turn sets the deadline, and the timer, when it ends
        if driver.now < self.deadline:
            fs_wheel_arm(&driver.wheel, &self.timer, self.deadline)
            return 0
        self.flags |= CONN_READABLE
        self.turn()
        driver.send_deferred()
        if self.fd < 0 or self.deadline == 0 or self.flags & (CONN_IN_TURN | CONN_DEFERRED):
            return 0
        if driver.now < self.deadline or self.excused():
            if self.timer.next == NULL:
                fs_wheel_arm(&driver.wheel, &self.timer, self.deadline)
            return 0
        fs_wheel_disarm(&driver.wheel, &self.timer)
        self.flags |= CONN_IN_TURN
        try:
            self.judge()
        except BaseException as failure:
            self.broken(failure)
        finally:
            self.flags &= ~<uint32_t>CONN_IN_TURN
        self.turn()
        driver.send_deferred()
        return 0

    cdef bint excused(self) noexcept:
        """Whether the peer gets the time in which the worker stood still, once for each thing that it is waited for: it could
        not have been heard, nor have been given what it waits for itself. An application that blocks again and again must not
        switch the deadlines off."""
        cdef uint64_t stalled = self.driver.stalled - self.stalled
        if self.grace or stalled == 0 or self.phase == PHASE_DRAIN:
            return False
        if self.phase == PHASE_APPLICATION and not self.exchange.awaits_peer():
            return False        # the application's own time
        self.grace = <uint32_t>min(stalled, <uint64_t>GRACE_MAX)
        self.deadline += self.grace
        return self.driver.now < self.deadline

    cdef int judge(self) except -1:
        """The peer is late, or the application; the turn that follows sends and settles."""
        cdef Driver driver = self.driver
        cdef Exchange exchange = self.exchange
        if self.phase == PHASE_HEAD or self.phase == PHASE_BODY and exchange is not None:
            self.refuse(FS_E_TIMEOUT)
        elif self.phase == PHASE_STREAMS:
            self.session.expired(driver.now - self.grace)
        elif self.phase == PHASE_APPLICATION:
            exchange.on_overdue()
        elif self.phase == PHASE_WRITE:
            if not self.peer_reads() and driver.now >= self.write_progress + driver.limits.timeout_write + self.grace:
                self.lost(FS_E_PEER_STALLED)
        elif self.proxy_part is not None:
            self.lost(FS_E_PROXY_HEADER)
        elif self.phase == PHASE_LINGER:
            self.close(False)
        elif self.phase == PHASE_TLS:
            report(driver.logger, LOG_DEBUG, "TLS failed: the handshake did not come to its end in time", ())
            self.lost(FS_E_TLS)
        elif self.session is not None:
            fs_h2_drain(&self.session.h2, 1)    # idle for long enough
        else:
            self.close(False)

    cdef bint peer_reads(self) noexcept:
        """Whether the peer has acknowledged bytes since the last look. What send() took says nothing: the kernel's buffer takes
        some for a peer that never reads, and for one that reads slowly nothing until a third of it is free."""
        cdef int unsent = fs_unsent(self.fd)
        cdef uint64_t acknowledged = self.sent - unsent if unsent >= 0 and <uint64_t>unsent <= self.sent else 0
        self.looked_at = self.driver.now
        if acknowledged <= self.acknowledged:
            return False
        self.acknowledged = acknowledged
        self.write_progress = self.driver.now
        return True

    cdef int drain(self) except -1:
        """The worker stops. An idle connection gets until `drain_until` to bring one more request."""
        if self.fd >= 0 and not self.flags & CONN_IN_TURN:
            for exchange in self.exchanges():
                (<Exchange>exchange).on_drain()
            if self.session is not None:
                fs_h2_drain(&self.session.h2, 0)
                self.end_turn()
            else:
                self.set_deadline()

    # ---- the end

    cdef int lost(self, int error) except -1:
        """Nothing reaches the peer any more, or nothing may."""
        if self.fd >= 0:
            self.driver.count_error(error)
            self.close(True)

    cdef int close(self, bint reset) except -1:
        """Closes the descriptor, once, and then cuts off whatever is still served: with a closed descriptor nothing that is
        told of it can come back to the connection. The object itself is freed when the batch has ended."""
        cdef Driver driver = self.driver
        cdef int fd = self.fd
        if fd < 0:
            return 0
        self.fd = -1
        self.deadline = 0
        fs_wheel_disarm(&driver.wheel, &self.timer)
        if driver.copied:
            fs_close_for_all(fd, reset)
        elif reset:
            fs_close_reset(fd)
        else:
            fs_close(fd)
        driver.dead.append(self)
        driver.free_slot(self.slot)
        driver.live -= 1
        driver.status.connections = driver.live
        driver.short_lived += driver.now < self.opened + SHORT_LIFE_MS
        if not driver.polling:
            driver.schedule_sweep()
        self.cut_off()
        fs_outqueue_clear(&self.queue)
        if self.tls is not None:
            fs_outqueue_clear(&self.tls.wire)

    cdef int forget(self) except -1:
        """In a forked child: closes its copy of the descriptor. The exchanges stay: what they send goes nowhere, and what the
        client is told, or others of its end, is the parent's to say."""
        cdef Exchange exchange
        fs_close(self.fd)
        self.fd = -1
        self.deadline = 0
        for exchange in self.exchanges():
            exchange.row = NULL

    cdef int cut_off(self) except -1:
        """Tells the exchanges that nothing reaches the client any more."""
        cdef Exchange exchange = self.exchange
        if self.session is not None:
            self.session.lose_all()
        if exchange is None:
            return 0
        exchange.on_lost()
        if self.exchange is exchange:
            exchange.log_departure()
        if self.exchange is exchange:
            self.exchange = None
            exchange.detach()


cdef inline uint64_t backlog(Connection connection) noexcept:
    """Bytes that wait to be sent, deciphered or not."""
    return connection.queue.size + (connection.tls.wire.size if connection.tls is not None else 0)


cdef inline size_t receive_room(Connection connection) noexcept:
    """How much may be received into the worker's buffer at once: what was kept of HTTP/2's preface is put before it."""
    cdef size_t room = connection.driver.buffer_size
    return room if connection.opening is None else room - FS_H2_PREFACE_LEN


cdef bytes https_location(const fs_request_head *head, int port):
    """Where a request to a plain address is to go instead; b"" where it does not say which host it wants."""
    cdef uint32_t i
    cdef bytes host = b""
    for i in range(head.nfields):
        if head.fields[i].id == FS_FIELD_HOST:
            host = PyBytes_FromStringAndSize(head.fields[i].value, head.fields[i].value_len)
    name, colon, number = host.rpartition(b":")
    if colon and number.isdigit() or colon and not number:
        host = name
    if not host:
        return b""
    target = PyBytes_FromStringAndSize(head.path.p, head.path.n)
    if head.query.n:
        target += b"?" + PyBytes_FromStringAndSize(head.query.p, head.query.n)
    return b"https://" + host + (b"" if port == 443 else b":%d" % port) + (target if target != b"*" else b"/")
