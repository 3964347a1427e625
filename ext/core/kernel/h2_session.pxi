# HTTP/2 on a connection: many streams, each with its exchange. The machine is in ext/proto/h2.h.

# ---- the body of a stream's answer, in an out-queue of its own

cdef uint64_t body_size(const fs_body_queue *body) noexcept nogil:
    return (<const StreamQueue *>body).queue.size


cdef int body_move(fs_body_queue *body, fs_sink *to, size_t n) noexcept nogil:
    return FS_OK if fs_outqueue_move(&(<StreamQueue *>body).queue, (<QueueSink *>to).queue, n) == 0 else FS_E_NOMEM


cdef void body_clear(fs_body_queue *body) noexcept nogil:
    fs_outqueue_clear(&(<StreamQueue *>body).queue)


cdef char *body_reserve(fs_sink *sink, size_t n) noexcept nogil:
    return fs_outqueue_reserve(&(<StreamQueue *>sink).queue, n)


cdef void body_commit(fs_sink *sink, size_t n) noexcept nogil:
    fs_outqueue_commit(&(<StreamQueue *>sink).queue, n)


cdef int body_share(fs_sink *sink, const char *p, size_t n, void *owner) noexcept nogil:
    return FS_OK if fs_outqueue_share(&(<StreamQueue *>sink).queue, p, n, owner) == 0 else FS_E_NOMEM


cdef int body_file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner) noexcept nogil:
    return FS_OK if fs_outqueue_file(&(<StreamQueue *>sink).queue, fd, offset, n, owner) == 0 else FS_E_NOMEM


cdef void open_body(void *pool, fs_body_queue *body) noexcept nogil:
    body.size = body_size
    body.move = body_move
    body.clear = body_clear
    body.sink.reserve = body_reserve
    body.sink.commit = body_commit
    body.sink.share = body_share
    body.sink.file = body_file
    fs_outqueue_init(&(<StreamQueue *>body).queue, <fs_outpool *>pool)


@cython.final
@cython.no_gc_clear     # __dealloc__ needs the driver, whose memory the machine refers to
cdef class H2Session(Session):
    """The streams of one connection. A stream keeps its exchange alive: `fs_stream.exchange` is strong here."""

    def __cinit__(self, Connection connection):
        self.connection = connection
        self.driver = connection.driver
        if fs_h2_init(&self.h2, &self.driver.h2_shared, &connection.sink.base, self.driver.now) < 0:
            raise MemoryError()

    def __dealloc__(self):
        if self.h2.session != NULL:
            fs_h2_free(&self.h2)

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        return fs_h2_unread(&self.h2) == 0

    cdef int feed(self, char *p, size_t n) noexcept:
        return fs_h2_feed(&self.h2, p, n, self.driver.now)

    cdef int settle(self) noexcept:
        return fs_h2_settle(&self.h2)

    cdef raises not_kept(self, int error) except -1:
        if error == FS_E_NO_ROOM:
            fs_h2_fail(&self.h2, error)
            self.refuse(error)
        else:
            self.connection.lose(error)

    cdef raises on_eof(self) except -1:
        for exchange in self.exchanges():
            (<Exchange>exchange).on_disconnect()

    # ---- events

    cdef raises events(self) except -1:
        cdef Connection connection = self.connection
        cdef Driver driver = self.driver
        cdef fs_event event
        cdef int result
        self.read_on()
        while connection.fd >= 0 and not connection.flags & CONN_LINGERING:
            # Events are taken also from a client that reads nothing: it may reset what it does not want. The number of
            # its streams and the guard bound what it can cause.
            if connection.answered >= driver.limits.max_pipelined and fs_h2_unread(&self.h2):
                connection.rest()
                break
            result = fs_h2_next(&self.h2, &event)
            if result < 0:
                self.refuse(result)
                break
            if self.unstarted is not None and (event.kind == FS_EVENT_NONE or event.stream != self.unstarted.stream):
                self.start()
                if connection.fd < 0:
                    break           # its first step has found the client gone, and so the event's stream
            if event.kind == FS_EVENT_NONE:
                break
            self.take(&event)
        if self.unstarted is not None:
            self.start()
        return 0

    cdef raises start(self) except -1:
        """Calls the application for the newest stream: what came with its head is here by now."""
        cdef Exchange exchange = self.unstarted
        self.unstarted = None
        if exchange.stream != NULL and not exchange.started:
            exchange.start()

    cdef raises take(self, fs_event *event) except -1:
        cdef Exchange exchange
        if event.kind == FS_EVENT_HEAD:
            self.connection.open_exchange(event)
            return 0
        if event.stream.exchange == NULL:
            if event.kind == FS_EVENT_RESET and fs_error_is_message(event.error):
                self.refuse_stream(<fs_h2_stream *>event.stream, event.error)
            return 0
        exchange = <Exchange>event.stream.exchange
        if event.kind == FS_EVENT_BODY:
            exchange.on_body(event.data.p, event.data.n, event.end != 0)
            if event.end and not exchange.started:
                exchange.start()
        elif event.kind == FS_EVENT_END:
            if (<fs_h2_stream *>event.stream).writing == FS_H2_WRITE_TUNNEL:
                exchange.on_disconnect()
                return 0
            exchange.on_end()
            if not exchange.started:
                exchange.start()
        elif event.kind == FS_EVENT_DATA:
            self.take_data(exchange, &event.data)
        elif fs_error_is_message(event.error) and event.error != FS_E_H2_MALFORMED:
            self.refuse_exchange(exchange, event.error)
        else:
            self.stream_lost(exchange, event.error)

    # ---- tunnels: the window opens only as far as the exchange takes what comes

    cdef raises take_data(self, Exchange exchange, fs_slice *data) except -1:
        (<fs_h2_stream *>exchange.stream).unconsumed += data.n
        exchange.on_data(<char *>data.p, data.n)
        self.after_data(exchange)

    cdef raises after_data(self, Exchange exchange) except -1:
        cdef fs_h2_stream *stream
        cdef size_t n
        if exchange.stream != NULL:
            exchange.on_data_end()
        if exchange.stream != NULL and exchange.wants_data():
            stream = <fs_h2_stream *>exchange.stream
            n, stream.unconsumed = stream.unconsumed, 0
            if n:
                stream.stream.ops.consumed(&stream.stream, n)

    cdef raises read_on(self) except -1:
        """Takes what tunnels had left in an earlier turn."""
        cdef fs_h2_stream *stream
        cdef fs_h2_stream *following
        cdef Exchange exchange
        if self.h2.tunnels == 0:
            return 0
        stream = self.h2.streams
        while stream != NULL:
            following = stream.next
            if stream.unconsumed and stream.stream.exchange != NULL:
                exchange = <Exchange>stream.stream.exchange
                if exchange.wants_data():
                    exchange.on_data(NULL, 0)
                    self.after_data(exchange)
            stream = following

    # ---- the ends of streams

    cdef raises attach(self, Exchange exchange, fs_event *event) except -1:
        event.stream.exchange = <void *>exchange
        Py_INCREF(exchange)
        if not event.head.flags & FS_HEAD_END:
            self.unstarted = exchange

    cdef raises forget(self, Exchange exchange) except -1:
        """Cuts an exchange from its stream, which may still have something to send."""
        if exchange.stream == NULL:
            return 0
        if self.unstarted is exchange:
            self.unstarted = None
        (<fs_h2_stream *>exchange.stream).flags &= ~<uint32_t>FS_H2_FULL
        exchange.detach()
        Py_DECREF(exchange)

    cdef raises response_ended(self, Exchange exchange) except -1:
        cdef fs_h2_stream *stream = <fs_h2_stream *>exchange.stream
        if stream == NULL:
            return 0
        if needs_receipt(self.connection, stream.body.size(stream.body)):
            add_receipt(self.connection, exchange, stream)
        self.forget(exchange)
        self.connection.written()

    cdef raises stream_lost(self, Exchange exchange, int error) except -1:
        """Ends the exchange of a stream that is gone: the client has reset it, or broken its message."""
        if error == FS_E_PEER_GONE:
            self.driver.status.http2_resets += 1
        else:
            refused(self.connection, error, request_of(exchange))
        exchange.on_lost()
        if exchange.stream != NULL:
            exchange.log_departure(self.connection.error if self.connection.fd < 0 else error)
            self.forget(exchange)

    cdef raises refuse_stream(self, fs_h2_stream *stream, int error) except -1:
        """Refuses a request whose head is wrong."""
        refused(self.connection, error)
        if error != FS_E_H2_MALFORMED:
            fs_h2_refuse(stream, error)
            log_rejected(self.connection, error)

    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1:
        cdef fs_h2_stream *stream = <fs_h2_stream *>exchange.stream
        cdef int status = exchange.stream.status if exchange.stream.head_sent else fs_error_describe(error).status
        refused(self.connection, error, request_of(exchange))
        exchange.on_refused()
        if exchange.stream == NULL:
            return 0
        fs_h2_refuse(stream, error)
        exchange.log(status)
        self.forget(exchange)
        self.connection.written()

    cdef raises refuse(self, int error) except -1:
        """Ends all streams: GOAWAY is queued, and no request is answered any more."""
        cdef Connection connection = self.connection
        if error == FS_E_NOMEM:
            connection.lose(error)
            return 0
        refused(connection, error)
        self.failure_counted = True
        self.lose_all()

    cdef raises lose_all(self) except -1:
        for exchange in self.exchanges():
            self.stream_lost(exchange, FS_E_PEER_GONE)

    cdef list exchanges(self):
        cdef fs_h2_stream *stream = self.h2.streams
        found = []
        while stream != NULL:
            if stream.stream.exchange != NULL:
                found.append(<Exchange>stream.stream.exchange)
            stream = stream.next
        return found

    # ---- what an exchange asks

    cdef bint has_input(self) noexcept:
        return fs_h2_wants_pump(&self.h2)

    cdef raises body_awaited(self, Exchange exchange) except -1:
        if exchange.stream != NULL:
            (<fs_h2_stream *>exchange.stream).progress = (self.driver.now if self.connection.flags & CONN_IN_TURN
                                                          else fs_monotonic_ms())

    cdef uint64_t unsent(self, Exchange exchange) noexcept:
        cdef fs_h2_stream *stream = <fs_h2_stream *>exchange.stream
        return stream.body.size(stream.body) if stream != NULL else 0

    cdef bint room_is_read(self) noexcept:
        return not self.connection.flags & CONN_EOF

    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1:
        if may_turn:
            self.connection.ready(FS_READABLE)
        return exchange.disconnect_due

    # ---- bytes out

    cdef int pump(self) except -1:
        """Frames what may leave, up to the high-water mark."""
        cdef Connection connection = self.connection
        cdef uint64_t waiting = backlog(connection)
        cdef uint64_t most = connection.driver.limits.high_water
        if waiting >= most or not fs_h2_wants_pump(&self.h2):
            return 0
        if fs_h2_pump(&self.h2, most - waiting, self.driver.now) < 0:
            connection.lose(FS_E_NOMEM)
            return 0
        if self.h2.error and not self.failure_counted:
            self.refuse(self.h2.error)
        elif fs_h2_has_events(&self.h2):
            self.driver.schedule(connection)
        return self.h2.framed > 0

    cdef raises note_room(self) except -1:
        """Lets each stream that has room go on."""
        cdef fs_h2_stream *stream
        cdef fs_h2_stream *following
        if self.waiting_streams == 0:
            return 0
        self.waiting_streams = 0
        stream = self.h2.streams
        while stream != NULL:
            following = stream.next
            if stream.flags & FS_H2_FULL and stream.stream.exchange != NULL:
                if stream.body.size(stream.body) <= self.driver.limits.low_water:
                    stream.flags &= ~<uint32_t>FS_H2_FULL
                    (<Exchange>stream.stream.exchange).on_writable()
                else:
                    self.waiting_streams += 1
            stream = following

    cdef bint is_full(self, Exchange exchange) except -1:
        cdef fs_h2_stream *stream = <fs_h2_stream *>exchange.stream
        if stream == NULL or stream.body.size(stream.body) < self.driver.limits.high_water:
            return False
        if not self.connection.flags & CONN_FLUSHING:
            self.connection.flush()
        if exchange.stream == NULL or stream.body.size(stream.body) < self.driver.limits.high_water:
            return False
        if not stream.flags & FS_H2_FULL:
            stream.flags |= FS_H2_FULL
            self.waiting_streams += 1
        return True

    cdef raises give_up_blocked(self) except -1:
        """When the client sends no more, ends the streams that would wait for ever: for a window or their request's
        end."""
        cdef fs_h2_stream *stream = self.h2.streams
        cdef fs_h2_stream *following
        while stream != NULL:
            following = stream.next
            if stream.body.size(stream.body):
                fs_h2_reset(stream, FS_E_PEER_GONE)
                if stream.stream.exchange != NULL:
                    self.stream_lost(<Exchange>stream.stream.exchange, FS_E_PEER_GONE)
            elif stream.stream.exchange == NULL:
                fs_h2_reset(stream, FS_OK)      # it has its answer
            stream = following

    # ---- time

    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept:
        since[0] = deadline[0] = self.due()
        if deadline[0] == 0 and self.h2.open == 0:
            since[0] = self.h2.framed_at
            deadline[0] = since[0] + self.driver.limits.timeout_keep_alive
            return PHASE_KEEP_ALIVE
        return PHASE_STREAMS

    cdef uint64_t due(self) noexcept:
        """Returns when a stream is late, or when the client has to show that it is still there."""
        cdef const fs_limits *limits = &self.driver.limits
        cdef fs_h2_stream *stream = self.h2.streams
        cdef uint64_t first = 0
        while stream != NULL:
            first = earliest(first, self.stream_due(stream))
            stream = stream.next
        if self.h2.open and limits.timeout_h2_ping:
            if not self.h2.pinged:
                first = earliest(first, self.h2.received_at + limits.timeout_h2_ping)
            elif limits.timeout_h2_pong:
                first = earliest(first, self.pong_by)
        if self.driver.drain_until and self.h2.draining < 2:
            first = earliest(first, self.driver.drain_until)
        if fs_h2_incomplete_since(&self.h2):
            first = earliest(first, fs_h2_incomplete_since(&self.h2) + limits.timeout_head)
        return first

    cdef uint64_t stream_due(self, fs_h2_stream *stream) noexcept:
        cdef const fs_limits *limits = &self.driver.limits
        cdef Exchange exchange
        cdef uint64_t first = 0
        if stream.body.size(stream.body):
            first = stream.sent_at + limits.timeout_write
        elif stream.stream.exchange == NULL:
            # Answered, but the client does not end its request. A worker that stops does not wait for it.
            return 1 if self.driver.drain_until else max(stream.progress, stream.sent_at) + limits.timeout_body
        if stream.stream.exchange != NULL:
            exchange = <Exchange>stream.stream.exchange
            first = earliest(first, stream.progress + limits.timeout_body if exchange.wants_body() else exchange.due())
        return first

    cdef raises expired(self, uint64_t now) except -1:
        cdef const fs_limits *limits = &self.driver.limits
        cdef fs_h2_stream *stream = self.h2.streams
        cdef fs_h2_stream *following
        cdef uint64_t due = fs_h2_incomplete_since(&self.h2)
        if self.connection.phase == PHASE_KEEP_ALIVE:
            fs_h2_drain(&self.h2, 1)        # idle for long enough
            return 0
        if due and now >= due + limits.timeout_head:
            fs_h2_fail(&self.h2, FS_E_TIMEOUT)
            self.refuse(FS_E_TIMEOUT)
            return 0
        if self.driver.drain_until and self.driver.now >= self.driver.drain_until and self.h2.draining < 2:
            fs_h2_drain(&self.h2, 1)
        if self.h2.open and self.h2.pinged and limits.timeout_h2_pong and now >= self.pong_by:
            self.connection.lose(FS_E_H2_PING_TIMEOUT)
            return 0
        while stream != NULL and self.connection.fd >= 0:
            following = stream.next
            due = self.stream_due(stream)
            if due and now >= due:
                self.stream_expired(stream, now)
            stream = following
        if (self.h2.open and limits.timeout_h2_ping and not self.h2.pinged
                and now >= self.h2.received_at + limits.timeout_h2_ping):
            self.pong_by = now + limits.timeout_h2_pong
            fs_h2_ping(&self.h2)

    cdef raises stream_expired(self, fs_h2_stream *stream, uint64_t now) except -1:
        cdef const fs_limits *limits = &self.driver.limits
        cdef Exchange exchange = None
        if stream.stream.exchange != NULL:
            exchange = <Exchange>stream.stream.exchange
        if stream.body.size(stream.body) and now >= stream.sent_at + limits.timeout_write:
            fs_h2_reset(stream, FS_E_PEER_STALLED)
            if exchange is not None:
                self.stream_lost(exchange, FS_E_PEER_STALLED)
            else:
                refused(self.connection, FS_E_PEER_STALLED)
        elif exchange is not None and exchange.wants_body():
            self.refuse_exchange(exchange, FS_E_TIMEOUT)
        elif exchange is not None:
            exchange.on_overdue()
        else:
            fs_h2_reset(stream, FS_OK)

    cdef raises drain(self) except -1:
        fs_h2_drain(&self.h2, 0)
        self.connection.end_turn()

    # ---- the end

    cdef bint is_finished(self) except -1:
        cdef Connection connection = self.connection
        if connection.flags & CONN_EOF and backlog(connection) == 0:
            self.give_up_blocked()
            connection.flush()
            if connection.fd < 0:
                return False
        connection.keep()
        return (connection.fd >= 0 and backlog(connection) == 0
                and (fs_h2_must_close(&self.h2) or connection.flags & CONN_EOF and self.h2.open == 0))
