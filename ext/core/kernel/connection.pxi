# One connection: the turn (receive, take the events, flush, settle), and its end. Its session (session.pxi) has the
# protocol.

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
    FLUSH_BUDGET = 4 << 20      # bytes one connection may send in a turn
    RECEIVES_A_TURN = 16        # a fast sender does not keep the worker from the others
    PULLS_A_TURN = 8            # an application that reads a body keeps the loop from others no longer than this


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
        begin_wait(self, PHASE_FIRST_BYTE, driver.limits.timeout_first_byte)
        if FS_DEBUG:
            live_objects["connections"] += 1
        self.undecided = driver.http != HTTP_1_ONLY
        self.session = H1Session.__new__(H1Session, self)

    def __dealloc__(self):
        # close() has run, or the connection never came into the driver's table.
        fs_wheel_disarm(&self.driver.wheel, &self.timer)
        fs_outqueue_clear(&self.queue)      # what a stream has queued after the close: a refusal, a reset
        if FS_DEBUG:
            live_objects["connections"] -= 1

    # ---- what wakes it

    cdef raises ready(self, uint32_t events) except -1:
        if events & (FS_READABLE | FS_PEER_CLOSED | FS_HANGUP):
            self.flags |= CONN_READABLE
        if events & FS_PEER_CLOSED:
            self.flags |= CONN_PEER_CLOSED
        if events & FS_HANGUP:
            if self.flags & CONN_CONFIRMING:
                confirm(self)
                return 0
            # Both directions are gone. What arrived earlier is still served, but its answer has nowhere to go.
            self.flags |= CONN_PEER_CLOSED
            self.turn()
            self.flush()
            self.lose(FS_E_PEER_GONE)
        elif events & (FS_READABLE | FS_PEER_CLOSED) or backlog(self):
            self.turn()

    cdef raises turn(self) except -1:
        cdef Driver driver = self.driver
        cdef Session session = self.session     # held: what it runs may end the connection and bury the session
        cdef int rounds = 0
        if self.fd < 0 or self.flags & CONN_IN_TURN:
            return 0
        if driver.buffer_held:
            driver.schedule(self)       # asked for inside another connection's turn, whose bytes are in the buffer
            return 0
        driver.hold_buffer()
        self.flags |= CONN_IN_TURN
        self.flags &= ~<uint32_t>(CONN_MORE | CONN_STALLED)
        self.answered = 0
        self.pulls = 0
        try:
            session.events()
            while self.fd >= 0 and self.wants_bytes():
                if rounds == RECEIVES_A_TURN:
                    driver.schedule(self)
                    break
                rounds += 1
                if rounds > 1 and not self.keep():    # the next recv overwrites the shared buffer
                    break
                if not self.receive_bytes():
                    break
                session = self.session          # the bytes may have chosen another session
                session.events()
            # The next connection receives into the same buffer: what must outlive it is copied now.
            if self.fd >= 0:
                self.keep()
        except BaseException as failure:
            self.broken(failure)
        finally:
            driver.release_buffer()
            self.flags &= ~<uint32_t>CONN_IN_TURN
        if self.session.awaits_step() and backlog(self) == 0:
            set_deadline(self)         # the application's step comes next, and another turn after it
        elif driver.polling:
            driver.defer(self)
        else:
            self.end_turn()
        return 0

    cdef raises end_turn(self) except -1:
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

    cdef bint keep(self) except -1:
        """Copies what must outlive the shared buffer. Returns False if it cannot be kept, which ends the connection."""
        cdef Session session
        cdef int result = self.session.settle()     # copies: nothing of the application's runs
        if result == FS_OK:
            return True
        session = self.session
        session.not_kept(result)
        say_no_room(self.driver, result)
        return False

    cdef raises broken(self, object failure) except -1:
        """Closes the connection after an internal error. Never raises: the caller has others to serve."""
        report(self.driver.logger, LOG_CRITICAL, "internal error: the connection is closed", (), failure)
        count_error(self.driver, FS_E_INTERNAL)
        try:
            self.lose(FS_E_INTERNAL)
        except BaseException as another:
            report(self.driver.logger, LOG_CRITICAL, "internal error: the connection's end has failed", (), another)
        return 0

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        """Whether recv is due. It is not called while reading pauses; CONN_READABLE remembers that bytes may wait."""
        return (self.flags & (CONN_READABLE | CONN_EOF | CONN_MORE | CONN_STALLED) == CONN_READABLE
                and self.session.wants_bytes())

    cdef bint receive_bytes(self):
        """Feeds the bytes of one recv to the protocol. Returns False when the socket is drained."""
        cdef Session session
        cdef Driver driver = self.driver
        cdef ssize_t n, taken = 0
        cdef size_t room = receive_room(self)
        if self.tls is not None:
            if self.tls.state == TLS_HANDSHAKE and driver.handshakes >= HANDSHAKES_A_TURN:
                driver.schedule(self)
                return False
            if self.tls.peer_closed and not self.flags & CONN_LINGERING:
                return self.receive_failed(0)
            room -= TLS_ROOM
        elif not self.flags & CONN_LINGERING and self.session.body_wanted():
            session = self.session
            return session.receive_direct()
        n = fs_recv(self.fd, driver.buffer, room)
        if n > 0:
            self.note_received(n, room)
            if self.flags & CONN_LINGERING:
                return True         # the deadline limits how long
            if self.proxied:
                taken = take_proxy_header(self, driver.buffer, n)
                if self.fd < 0 or taken == n:
                    return self.fd >= 0
            if self.tls is not None:
                n = receive_tls(self, taken, n)
                if n == 0:
                    return self.fd >= 0
                taken = 0
            self.feed(driver.buffer + taken, n - taken)
            return True
        return self.receive_failed(n)

    cdef void note_received(self, ssize_t n, size_t room) noexcept:
        """Notes n received bytes. `room`: how many might have come at once."""
        self.driver.status.bytes_in += n
        self.read_progress = self.driver.now
        if <size_t>n < room and not self.flags & CONN_PEER_CLOSED:
            self.flags &= ~<uint32_t>CONN_READABLE      # drained: epoll(7), edge-triggered

    cdef raises feed(self, char *p, size_t n) except -1:
        """Gives received bytes to the protocol, which the first bytes may choose."""
        cdef int result
        if self.undecided and choose_protocol(self, p, n):
            return 0
        result = self.session.feed(p, n)
        if result < 0:
            self.refuse(result)

    cdef raises speak(self, Session session) except -1:
        """Changes the protocol; what has come is fed to the new one."""
        self.session = session
        self.undecided = False
        if self.driver.drain_until:
            session.drain()
        self.written()

    cdef void look_again(self) noexcept:
        """Looks at the socket again, although no event has reported anything."""
        self.flags |= CONN_READABLE

    cdef bint receive_failed(self, ssize_t n):
        if n == FS_AGAIN:
            self.flags &= ~<uint32_t>(CONN_READABLE | CONN_PEER_CLOSED)
        elif n == 0:
            self.flags &= ~<uint32_t>CONN_READABLE
            self.flags |= CONN_EOF
            self.peer_closed()
        else:
            self.lose(FS_E_PEER_GONE)
        return False

    cdef raises peer_closed(self) except -1:
        """Notes the peer's FIN. It may have closed only its half: its requests are still answered."""
        cdef Session session
        if self.flags & CONN_LINGERING:
            self.close(False)
        elif self.proxy_part is not None:
            self.lose(FS_E_PROXY_HEADER)
        elif self.tls is not None and self.tls.state == TLS_HANDSHAKE:
            if not self.tls.no_bytes_yet:
                refused(self, FS_E_TLS)
            self.close(False)
        else:
            if self.opening is not None:
                give_up_choosing(self)
            if self.fd >= 0:
                session = self.session
                session.on_eof()

    # ---- requests

    cdef raises open_exchange(self, fs_event *event) except -1:
        cdef Driver driver = self.driver
        cdef Exchange exchange
        cdef int error
        cdef bint waits = False
        self.answered += 1
        driver.status.requests_total += 1
        if self.redirects:
            redirect(self, event)
            return 0
        if driver.limits.max_concurrency and driver.running >= driver.limits.max_concurrency:
            if driver.queue_length >= driver.limits.max_queue:
                refuse_unopened(self, event, FS_E_OVERLOADED)
                return 0
            waits = True
        if not event.head.flags & (FS_HEAD_END | FS_HEAD_UPGRADE_WEBSOCKET):
            error = driver.interface.refusal(&event.head)
            if error < 0:
                refuse_unopened(self, event, error)
                return 0
        exchange = driver.interface.open(&event.head)
        exchange.connection = self
        exchange.stream = event.stream
        self.session.attach(exchange, event)
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

    cdef raises refuse(self, int error) except -1:
        """Answers a fault of the peer's with its status if possible; then the connection ends."""
        cdef Session session = self.session
        self.undecided = False          # nothing that follows begins another protocol
        if self.fd >= 0:
            session.refuse(error)

    cdef bint is_full(self):
        """Whether too much waits to be sent. Above the high-water mark the socket is asked first."""
        if backlog(self) < self.driver.limits.high_water:
            return False
        if not self.flags & CONN_FLUSHING:
            self.flush()
        return self.fd >= 0 and backlog(self) >= self.driver.limits.high_water

    cdef raises wait_for_room(self) except -1:
        """Takes no more of what has come until the out-queue has fallen to the high-water mark."""
        self.flags |= CONN_STALLED

    cdef raises rest(self) except -1:
        """The turn's share of requests is used up: the rest waits for the next turn."""
        self.flags |= CONN_MORE
        self.driver.schedule(self)

    cdef void hold(self) noexcept:
        """Makes what is queued from here on schedule no turn: the holder gives one at once, after `unhold`."""
        self.flags |= CONN_IN_TURN

    cdef void unhold(self) noexcept:
        self.flags &= ~<uint32_t>CONN_IN_TURN

    # ---- what an exchange calls

    cdef bint must_wait(self, Exchange exchange):
        """Whether `send` has to wait."""
        cdef Session session = self.session
        return session.is_full(exchange)

    cdef raises written(self) except -1:
        """Called when something was queued. It leaves at the turn's end, or outside a turn when the loop comes
        round."""
        if not self.flags & (CONN_IN_TURN | CONN_SCHEDULED) and self.fd >= 0:
            self.driver.schedule(self)

    cdef bint pull(self, Exchange exchange):
        """Receives at once what the socket holds, within the step of an application that waits for body bytes, a few
        times a turn: the way through the loop costs more than the bytes do. Does nothing for an application that waits
        for another request's body inside its own first step, since its own connection's bytes are in the buffer."""
        cdef Driver driver = self.driver
        cdef Session session
        if (self.flags & CONN_IN_TURN or self.fd < 0 or self.pulls == PULLS_A_TURN or driver.buffer_held
                or not self.session.reads_for(exchange) or not self.wants_bytes()):
            return False
        self.pulls += 1
        driver.hold_buffer()
        self.flags |= CONN_IN_TURN
        try:
            if self.keep():
                self.receive_bytes()
                session = self.session
                session.events()
            if self.fd >= 0:
                self.keep()
        except BaseException as failure:
            self.broken(failure)
        finally:
            driver.release_buffer()
            self.flags &= ~<uint32_t>CONN_IN_TURN
        if self.queue.size or exchange.stream == NULL:
            self.written()
        return True

    cdef raises want_body(self, Exchange exchange) except -1:
        """Resumes reading that was paused: the application has taken body bytes, or waits for some."""
        if not self.flags & (CONN_IN_TURN | CONN_SCHEDULED) and self.fd >= 0 and self.session.has_input():
            self.driver.schedule(self)

    cdef raises body_awaited(self, Exchange exchange) except -1:
        self.session.body_awaited(exchange)
        self.written()      # a turn, at whose end the deadline is set

    cdef raises response_ended(self, Exchange exchange) except -1:
        """Called when the answer's last byte is queued, or it was broken off. The next request may come."""
        cdef Session session = self.session
        return session.response_ended(exchange)

    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1:
        """Refuses the rest of a request, which cannot be taken."""
        cdef Session session = self.session
        return session.refuse_exchange(exchange, error)

    cdef list exchanges(self):
        """Returns the exchanges of the requests that are being read or answered."""
        return self.session.exchanges()

    cdef uint64_t unsent_of(self, Exchange exchange) noexcept:
        """Returns the bytes of its answer that wait here."""
        return self.session.unsent(exchange)

    cdef fs_sink *open_tunnel(self, Exchange exchange, const fs_field *fields, uint32_t n) except NULL:
        """Accepts an upgrade. The exchange takes bytes from here on, and writes its answers to the returned tunnel."""
        cdef fs_sink *tunnel = NULL
        cdef int result = exchange.stream.ops.upgrade(exchange.stream, fields, n, &tunnel)
        if result < 0:
            raise application_error(result)
        self.session.tunnel_opened()
        return tunnel

    # ---- bytes out, and the end of a turn

    cdef raises flush(self) except -1:
        """Sends what the socket takes. It may find the peer gone, and dropping what was sent may run the application's
        code: look again afterwards at whether the connection is open, and which exchange it has."""
        cdef Session session = self.session
        cdef uint64_t sent = 0, before
        cdef int result = 0
        self.flags |= CONN_FLUSHING
        while self.fd >= 0:
            session.pump()
            if self.queue.head == NULL and (self.tls is None or self.tls.wire.head == NULL):
                result = 0
                break
            if sent >= FLUSH_BUDGET:
                result = FS_AGAIN
                break
            before = sent
            result = self.flush_socket(&sent)
            if result != 0 or sent == before:
                break           # nothing has left: what is queued behind a close_notify never leaves
        self.flags &= ~<uint32_t>CONN_FLUSHING
        if sent:
            self.driver.status.bytes_out += sent
            self.sent += sent
        if self.receipts is not None:
            settle_receipts(self)
        if self.fd < 0:
            return 0
        if result == FS_AGAIN:
            if sent >= FLUSH_BUDGET:
                self.driver.schedule(self)
        elif result < 0:
            self.lose(FS_E_APP_FILE if result in (-ENODATA, -EIO, -EBADF) else FS_E_NOMEM if result == -ENOMEM
                      else FS_E_PEER_GONE)
            return 0
        session.note_room()

    cdef int flush_socket(self, uint64_t *sent) except? -1:
        cdef uint64_t part = 0
        cdef int result
        if self.tls is not None:
            return flush_tls(self, sent)
        result = fs_outqueue_flush(&self.queue, self.fd, FLUSH_BUDGET, &part)
        sent[0] += part
        return result

    cdef raises settle(self) except -1:
        """Ends the connection if that is due, or sets its deadline."""
        cdef Session session = self.session
        if session.is_finished() and self.fd >= 0 and not self.flags & CONN_LINGERING:
            self.finish()
        if self.fd < 0:
            return 0
        if self.flags & CONN_STALLED and backlog(self) < self.driver.limits.high_water:
            self.driver.schedule(self)      # the last flush made room, and no event will say so
        set_deadline(self)

    cdef raises finish(self) except -1:
        if self.session.must_reset():
            self.close(True)        # nor a close_notify
            return 0
        if self.tls is not None:
            end_tls(self)
        if self.flags & CONN_EOF:
            self.confirm_or_close()
        elif not self.session.must_linger():
            self.close(False)
        else:
            # RFC 9112 section 9.6: unread bytes would turn the close into a reset, which may overtake the answer.
            self.linger()

    cdef raises confirm_or_close(self) except -1:
        """Ends a connection whose peer sends no more and was sent everything. If somebody wants to know whether it
        arrived, the end waits for that news."""
        cdef int news = ask_for_news(self)
        if news == 0:
            self.flags |= CONN_LINGERING | CONN_CONFIRMING
            return 0
        if news < 0:
            self.error = news
        self.close(False)

    cdef raises linger(self) except -1:
        """Sends FIN; for a while, whatever still comes is discarded."""
        if fs_shutdown_write(self.fd) < 0:
            self.close(False)
            return 0
        self.flags |= CONN_LINGERING
        self.driver.schedule(self)

    # ---- the end

    cdef raises drain(self) except -1:
        """The worker stops."""
        cdef Session session
        if self.fd >= 0 and not self.flags & CONN_IN_TURN:
            for exchange in self.exchanges():
                (<Exchange>exchange).on_drain()
            session = self.session
            session.drain()

    cdef raises lose(self, int error) except -1:
        """Ends a connection whose peer nothing can or may reach any more."""
        if self.fd >= 0:
            self.error = error
            try:
                refused(self, error)
            finally:
                self.close(True)

    cdef raises close(self, bint reset) except -1:
        """Closes the descriptor, once, and then cuts off whatever is still served: in that order, so that nothing that
        is notified can come back to the connection. The object itself is freed when the batch has ended."""
        cdef Session session
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
        free_slot(driver, self.slot)
        driver.live -= 1
        driver.status.connections = driver.live
        driver.short_lived += driver.now < self.opened + SHORT_LIFE_MS
        if not driver.polling:
            driver.schedule_sweep()
        session = self.session
        session.lose_all()
        if self.receipts is not None:
            give_up_receipts(self)
        fs_outqueue_clear(&self.queue)
        if self.tls is not None:
            fs_outqueue_clear(&self.tls.wire)

    cdef raises abandon(self) except -1:
        """Lets go of a connection that never came into the driver's table. Whoever opened the descriptor closes it."""
        self.fd = -1
        self.deadline = 0
        fs_wheel_disarm(&self.driver.wheel, &self.timer)
        self.session = ENDED

    cdef raises forget(self) except -1:
        """In a forked child: closes its copy of the descriptor. The exchanges stay, but what they send goes nowhere:
        only the parent tells the client anything, or others of the connection's end."""
        cdef Exchange exchange
        fs_close(self.fd)
        self.fd = -1
        self.deadline = 0
        self.receipts = self.last_receipt = None
        for exchange in self.exchanges():
            exchange.row = NULL


cdef inline uint64_t backlog(Connection connection) noexcept:
    """Returns the bytes queued to be sent: plaintext and ciphertext."""
    return connection.queue.size + (connection.tls.wire.size if connection.tls is not None else 0)


cdef inline size_t receive_room(Connection connection) noexcept:
    """Returns how much may be received into the worker's buffer at once, behind a kept part of HTTP/2's preface."""
    cdef size_t room = connection.driver.buffer_size
    return room if connection.opening is None else room - FS_H2_PREFACE_LEN


cdef bint has_left(int fd) noexcept:
    """Whether the peer has closed its half or the whole connection, whatever is still in the socket before that."""
    cdef pollfd looked
    looked.fd = fd
    looked.events = POLLRDHUP
    return c_poll(&looked, 1, 0) > 0
