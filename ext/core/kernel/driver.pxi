# The driver owns one epoll instance with every listener and connection. An event loop watches that one descriptor and
# calls poll() once a batch, or threads wait on it themselves (threads.pxi).

cdef enum:
    RECEIVE_BUFFER = 262144     # bytes; one for all connections of a worker
    STALL_MIN_MS = 50           # a worker that did not turn for longer than this stood still
    STALL_BEFORE_MS = 1000      # error of the time at which that began, to the advantage of the peers


def came_back(logger):
    """Ends a child that the application forked and that has left the application's code: the rest is the parent's."""
    report(logger, LOG_ERROR, "a process that the application has forked came back into the server: it ends here", ())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(1)


@cython.final
cdef class Driver:

    def __cinit__(self, Interface interface not None, *, logger, limits=None, server_header=b"fastserve",
                  bint date_header=True, headers=(), int access_log_fd=-1,
                  TrustedProxies forwarding=None, proxy_protocol=None,
                  status=None, http="auto"):
        self.poller.fd = -1
        if FS_DEBUG:
            live_drivers.add(self)
        set_limits(&self.limits, limits or {})
        if not 1 <= self.limits.max_fields <= FS_MAX_FIELDS_CEILING:
            raise ValueError(f"max_fields is between 1 and {FS_MAX_FIELDS_CEILING}")
        self.memory.most = self.limits.buffered
        self.files.most = self.limits.body_files
        self.http = HTTP_VERSIONS[http]
        if not fs_h2_available:
            self.http = HTTP_1_ONLY
        self.logger = logger
        self.forwarding = forwarding
        self.proxy_protocol = proxy_protocol
        own = {name.lower(): value for name, value in headers if name.lower() in (b"server", b"date")}
        server = own.get(b"server", server_header)
        own_date = header_lines([(b"date", own[b"date"])] if b"date" in own else [])
        self.server_line = header_lines([(b"server", server)] if server else [])
        self.extra_lines = own_date + header_lines([field for field in headers if field[0].lower() not in own])
        self.open_status(status)
        self.access_log = open_access_log(access_log_fd, self.status, logger)
        self.refusals = Refusals()
        self.queues = self.limits.max_queue or self.limits.timeout_queue
        self.queue = collections.OrderedDict()
        self.admitted = []
        self.scheduled = []
        self.dead = []
        self.watches_due = []
        self.siblings = []
        self.by_name = {}
        self.buffer = <char *>malloc(RECEIVE_BUFFER)
        if self.buffer == NULL:
            raise MemoryError()
        self.buffer_size = RECEIVE_BUFFER
        self.view = PyMemoryView_FromMemory(self.buffer, RECEIVE_BUFFER, PyBUF_WRITE)
        fs_head_common_init(&self.head_common, date_header and not own_date)
        self.head_common.own_date_len = len(own_date)
        if self.server_line:
            self.head_common.server = PyBytes_AS_STRING(self.server_line)
            self.head_common.server_len = PyBytes_GET_SIZE(self.server_line)
        if self.extra_lines:
            self.head_common.extra = PyBytes_AS_STRING(self.extra_lines)
            self.head_common.extra_len = PyBytes_GET_SIZE(self.extra_lines)
        if fs_h1_shared_init(&self.h1_shared, &self.limits, &fs_system_allocator, &self.head_common) < 0:
            raise MemoryError()
        self.h1_shared.memory = &self.memory
        fs_outpool_init(&self.pool, &fs_system_allocator, fs_owner_retain, fs_owner_release)
        if fs_h2_shared_init(&self.h2_shared, &self.limits, &fs_system_allocator, &self.head_common) < 0:
            raise MemoryError()
        self.h2_shared.body_size = sizeof(StreamQueue)
        self.h2_shared.open_body = open_body
        self.h2_shared.ctx = &self.pool
        self.h2_shared.memory = &self.memory
        self.h2_shared.tunnels = interface.takes_websockets()
        fs_wheel_init(&self.wheel, fs_monotonic_ms())
        self.open_poller()
        self.clock()
        self.handover_number = <uint64_t>os.getpid() << 32
        interface.attach(self)
        self.interface = interface

    def __dealloc__(self):
        # Connections hold the driver, so none is left here. Listeners do not.
        cdef uint32_t i
        for i in range(self.slot_count):
            Py_XDECREF(self.slots[i].owner)
        if self.poller.fd >= 0:
            fs_poller_close(&self.poller)
        if self.buffer != NULL:
            fs_h1_shared_free(&self.h1_shared)
            fs_h2_shared_free(&self.h2_shared)
            fs_outpool_free(&self.pool)
        free(self.buffer)
        free(self.slots)
        if self.status_buffer != NULL:
            PyBuffer_Release(self.status_buffer)
            free(self.status_buffer)
        else:
            free(self.status)

    def open_poller(self):
        cdef int result = fs_poller_open(&self.poller)
        if result < 0:
            self.poller.fd = -1
            raise OSError(-result, f"epoll cannot be opened: {os.strerror(-result)}")

    cdef raises open_status(self, object memory) except -1:
        cdef Py_buffer view
        if memory is None:
            self.status = <fs_status *>calloc(1, sizeof(fs_status))
            if self.status == NULL:
                raise MemoryError()
        else:
            PyObject_GetBuffer(memory, &view, PyBUF_WRITABLE)
            self.status_buffer = <Py_buffer *>malloc(sizeof(view))
            if self.status_buffer == NULL:
                PyBuffer_Release(&view)
                raise MemoryError()
            self.status_buffer[0] = view
            if view.len < <Py_ssize_t>sizeof(fs_status) or <size_t>view.buf % sizeof(uint64_t):
                raise ValueError(f"status is {sizeof(fs_status)} bytes of memory at least, aligned to {sizeof(uint64_t)}")
            self.status = <fs_status *>view.buf
        fs_status_init(self.status)
        self.free_rows = FS_STATUS_ALL_ROWS

    # ---- descriptors

    # ---- listening

    def add_listener(self, int fd, *, bint shared=False, tls=None, int redirect=0, uint64_t name=0):
        cdef Listener listener = Listener(fd, shared, tls, redirect, name)
        cdef int result = fs_listener_prepare(fd)
        if result == 0:
            result = watch_listener(self, listener)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        if name:
            self.by_name.setdefault(name, listener)

    def remove_listener(self, int fd):
        accept_rest(self, [listener_of(self, fd)], True)

    def accept_waiting(self):
        accept_rest(self, listeners(self), False)

    def stop_listening(self):
        forget_siblings(self)      # what is accepted from here on is served here: siblings may be stopping too
        self.status.mailbox = 0
        accept_rest(self, listeners(self), True)

    def adopt(self, int fd):
        cdef fs_address peer
        if fs_peer_address(fd, &peer) < 0:
            memset(&peer, 0, sizeof(peer))
        os.set_blocking(fd, False)
        open_connection(self, fd, &peer, None)

    # ---- connections that one worker accepts and another one serves

    def add_mailbox(self, int fd):
        cdef int result = watch_listener(self, Listener(fd, False, None, 0, 0, True))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        self.status.mailbox = 1

    def add_sibling(self, number, int fd, status):
        try:
            self.remove_sibling(number)
            sibling = Sibling(number, fd, status)
        except BaseException:
            fs_close(fd)
            raise
        self.siblings.append(sibling)

    def remove_sibling(self, number):
        cdef Sibling sibling
        for sibling in list(self.siblings):
            if sibling.number == number:
                forget_sibling(self, sibling)

    # ---- descriptors of others

    def watch(self, int fd, callback):
        cdef Watch watch = Watch.__new__(Watch)
        cdef int result
        watch.fd = fd
        watch.callback = callback
        watch.slot = take_slot(self, watch)
        result = fs_poller_add_reader(&self.poller, fd, slot_token(self, watch.slot))
        if result < 0:
            free_slot(self, watch.slot)
            raise OSError(-result, os.strerror(-result))

    def unwatch(self, int fd):
        cdef Watch watch
        for watch in owners_of(self, Watch):
            if watch.fd == fd:
                forget_watch(self, watch)
                return
        raise ValueError(f"descriptor {fd} is not watched")

    # ---- the batch

    cdef void clock(self) noexcept:
        self.look(self.poller.timer_due)

    cdef void look(self, uint64_t due) noexcept:
        """Reads the clock for this round. `due` is when the timer should have woken the worker, monotonic ms: in the
        time after that it did not turn, and peers are excused for it (is_excused)."""
        cdef int64_t second = fs_unix_seconds()
        cdef uint64_t us = fs_monotonic_us()
        self.now = us // 1000
        if due and self.now > due + STALL_MIN_MS:
            # Nobody knows when it began: between the last look and the missed time, and counted as at most a second
            # before that.
            self.stalled += self.now - max(max(due, STALL_BEFORE_MS) - STALL_BEFORE_MS, self.looked_us // 1000)
        self.count_durations(us)
        self.now_us = us
        self.handshakes = 0
        self.status.heartbeat = self.now
        self.status.turns += 1
        fs_head_set_time(&self.head_common, second)
        if self.access_log.fd >= 0:
            self.access_log.set_time(second)

    def poll(self):
        """Takes what is ready, once, without waiting. Does nothing inside a poll() or sweep(), when an application runs
        the loop within itself."""
        cdef fs_ready ready[FS_POLL_BATCH]
        cdef uint64_t due = self.poller.timer_due
        cdef int n
        if self.closed or self.turning:
            return
        n = fs_poller_wait(&self.poller, ready, FS_POLL_BATCH, 0)
        if n < 0:
            raise OSError(-n, os.strerror(-n))
        self.look(due)
        self.turning = self.idle_stack = True
        self.begin_batch()
        try:
            self.take_all(ready, n)
            self.send_deferred()
        finally:
            self.turning = self.idle_stack = False
            self.end_batch()
            self.note_stall()
            self.finish_batch()
        if PyList_GET_SIZE(self.watches_due) or self.repeat_due:
            tell_watches(self)
        if PyList_GET_SIZE(self.scheduled):
            self.schedule_sweep()       # a sweep() inside this poll has done nothing

    # The driver's own flags: other parts call these verbs and assign no flag (tests/test_architecture.py).

    cdef void begin_batch(self) noexcept:
        """Lets this thread's turns end later in the batch, with those that follow."""
        self.polling = True

    cdef void end_batch(self) noexcept:
        """Makes turns send at once what they have queued."""
        self.polling = False

    cdef bint let_turns_wait(self, bint may) noexcept:
        """Does one or the other. Returns what held before."""
        cdef bint before = self.polling
        self.polling = may
        return before

    cdef bint enter_application(self) noexcept:
        """Notes that the application's code is on the stack from here on, so that nothing else of it is called. Returns
        the argument of leave_application."""
        cdef bint before = self.idle_stack
        self.idle_stack = False
        return before

    cdef void leave_application(self, bint before) noexcept:
        self.idle_stack = before

    cdef void hold_buffer(self) noexcept:
        """Notes that a turn on the stack may have unparsed bytes in the worker's buffer: nobody else receives."""
        self.buffer_held = True

    cdef void release_buffer(self) noexcept:
        self.buffer_held = False

    cdef raises take_all(self, const fs_ready *ready, int n) except -1:
        """Handles each event separately: most are edge-triggered, and a lost one does not come again."""
        cdef int i = 0
        while i < n:
            try:
                while i < n:
                    i += 1
                    self.take(&ready[i - 1])
            except BaseException as failure:
                report(self.logger, LOG_CRITICAL, "internal error in the driver", (), failure)

    cdef raises take(self, const fs_ready *ready) except -1:
        cdef uint64_t watch = <uint64_t>ready.watch
        cdef Slot *slot
        if not watch & TOKEN:
            self.expire()
            return 0
        slot = &self.slots[<uint32_t>watch]
        if slot.owner == NULL or slot.generation != <uint32_t>((watch & ~TOKEN) >> 32):
            return 0    # closed earlier in this batch, or kept alive by a forked child
        owner = <object>slot.owner
        if type(owner) is Connection:
            (<Connection>owner).ready(ready.events)
        elif type(owner) is Listener:
            accept_from(self, <Listener>owner, ACCEPT_BATCH)
        elif not (<Watch>owner).due:
            (<Watch>owner).due = True
            self.watches_due.append(owner)

    cdef raises defer(self, Connection connection) except -1:
        """Delays the end of a turn, where the answers are sent, so that a few are sent together: the kernel's send path
        is long, and until then the parser, the interpreter and the application stay in the caches."""
        if connection.flags & CONN_DEFERRED:
            return 0
        connection.flags |= CONN_DEFERRED
        Py_INCREF(connection)
        self.deferred[self.deferred_count] = <PyObject *>connection
        self.deferred_count += 1
        if self.deferred_count == DEFER_MAX:
            self.send_deferred()
        return 0

    cdef raises send_deferred(self) except -1:
        cdef PyObject *deferred[DEFER_MAX]
        cdef uint32_t i, n = self.deferred_count
        cdef Connection connection
        # A copy: sending may run the application's code, such as a destructor, which may come back here.
        memcpy(deferred, self.deferred, n * sizeof(PyObject *))
        self.deferred_count = 0
        for i in range(n):
            connection = <Connection>deferred[i]
            Py_DECREF(connection)
            connection.flags &= ~<uint32_t>CONN_DEFERRED
            connection.end_turn()
        if n and self.ended_now:
            self.count_durations(fs_monotonic_us())
        return 0

    cdef void note_stall(self) noexcept:
        """Ends a round: if an application has delayed that for long, the time does not count against peers."""
        if self.looked_us == self.now_us:
            self.count_durations(fs_monotonic_us())
        if self.looked_us - self.now_us > STALL_MIN_MS * 1000:
            self.stalled += (self.looked_us - self.now_us) // 1000

    cdef raises finish_batch(self) except -1:
        if PyList_GET_SIZE(self.dead) and not self.turning:
            if self.forgotten:
                self.came_back()
            self.bury()
            self.check_idle()
            check_held(self)
        show_held(self)
        if PyList_GET_SIZE(self.refusals.waiting):
            self.refusals.write(self.logger)
        if self.access_log.oldest and self.log_timer.next == NULL:
            fs_wheel_arm(&self.wheel, &self.log_timer, self.access_log.oldest + LOG_AGE_MS)
        if self.ended_now:
            self.count_durations(fs_monotonic_us())
        self.set_timer()

    cdef raises bury(self) except -1:
        """Lets the closed connections go. A connection and its session form a reference cycle, which is broken here.
        Whoever calls a verb of a session that may run the application's code holds the session, since such code may
        come here."""
        cdef list dead = self.dead
        cdef Connection connection
        self.dead = []
        for connection in dead:
            connection.session = ENDED

    cdef raises set_timer(self) except -1:
        cdef uint64_t due = fs_wheel_next(&self.wheel)
        cdef int result
        # A timer that is armed for an earlier time is left alone: firing once for nothing costs less than moving it
        # each time.
        if self.poller.timer_due and (due == 0 or due >= self.poller.timer_due):
            return 0
        result = fs_poller_set_timer(&self.poller, due)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    cdef raises expire(self) except -1:
        """Handles the last event of a batch. Its answers leave first: a connection is judged by what it waits for
        then."""
        cdef fs_timer *timer
        self.send_deferred()
        while True:
            timer = fs_wheel_expire(&self.wheel, self.now)
            if timer == NULL:
                return 0
            if timer == &self.accept_timer:
                resume_accepting(self)
            elif timer == &self.log_timer:
                self.access_log.flush()
            elif timer == &self.alarm_timer:
                callback, self.alarm_callback = self.alarm_callback, None
                try:
                    callback()
                except Exception as failure:
                    report(self.logger, LOG_CRITICAL, "internal error in the alarm callback", (), failure)
            elif timer == &self.beat_timer:
                fs_wheel_arm(&self.wheel, &self.beat_timer, self.now + self.beat_ms)
                self.interface.beat()
            elif timer == &self.repeat_timer:
                self.repeat_due = True
                fs_wheel_arm(&self.wheel, &self.repeat_timer, self.now + self.repeat_ms)
            else:
                deadline_passed(connection_of(timer))

    cdef raises schedule(self, Connection connection) except -1:
        """Schedules a turn for this connection when the loop comes round."""
        if connection.flags & CONN_SCHEDULED:
            return 0
        connection.flags |= CONN_SCHEDULED
        self.scheduled.append(connection)
        self.schedule_sweep()

    cdef raises schedule_again(self, Connection connection) except -1:
        """Schedules another turn for a connection, even while the list of the present turns is being worked through."""
        connection.flags &= ~<uint32_t>CONN_SCHEDULED
        self.schedule(connection)

    cdef raises schedule_sweep(self) except -1:
        if not self.sweep_scheduled and not self.closed:
            self.sweep_scheduled = True
            self.interface.wake()

    def sweep(self):
        """Runs the turns that were scheduled outside poll, or in it for later."""
        self.sweep_scheduled = False
        if self.closed or self.turning:
            return
        self.clock()
        self.turning = self.idle_stack = True
        try:
            self.take_scheduled()
        finally:
            self.turning = self.idle_stack = False
            self.note_stall()
            self.finish_batch()
        if PyList_GET_SIZE(self.scheduled):
            self.schedule_sweep()

    cdef raises take_scheduled(self) except -1:
        cdef list scheduled = self.scheduled
        cdef Connection connection
        self.sweep_scheduled = False
        self.scheduled = []
        if PyList_GET_SIZE(self.admitted):
            start_admitted(self)        # their connections' turns follow
        for connection in scheduled:
            connection.flags &= ~<uint32_t>CONN_SCHEDULED
            connection.turn()

    # ---- the end

    cdef raises check_idle(self) except -1:
        if self.idle_callback is not None and self.live == 0 and self.interface.busy() == 0:
            callback, self.idle_callback = self.idle_callback, None
            callback()

    cdef void count_durations(self, uint64_t us) noexcept:
        self.looked_us = us
        if self.ended_now:
            fs_status_count_durations(self.status, us - self.now_us, self.ended_now)
            self.ended_now = 0

    def drain(self, double grace, double spread=0.0):
        self.clock()
        self.spread_until = self.now + <uint64_t>max(1.0, spread * 1000)
        self.h1_shared.draining = 1
        self.drain_until = self.now + <uint64_t>max(0.0, grace * 1000)
        for connection in all_connections(self):
            (<Connection>connection).drain()
        self.finish_batch()

    def tell_streams(self):
        self.gave_up = True
        for connection in all_connections(self):
            for exchange in (<Connection>connection).exchanges():
                (<Exchange>exchange).on_stop()

    def cancel_requests(self):
        self.gave_up = True
        return self.interface.cancel()

    def call_later(self, double seconds, callback):
        self.alarm_callback = callback
        self.clock()
        fs_wheel_disarm(&self.wheel, &self.alarm_timer)
        if callback is not None:
            fs_wheel_arm(&self.wheel, &self.alarm_timer, self.now + <uint64_t>max(0.0, seconds * 1000))
            self.set_timer()

    def beat(self, double seconds):
        self.clock()
        self.beat_ms = <uint64_t>max(0.0, seconds * 1000)
        fs_wheel_disarm(&self.wheel, &self.beat_timer)
        if self.beat_ms:
            fs_wheel_arm(&self.wheel, &self.beat_timer, self.now + self.beat_ms)
            self.set_timer()

    def repeat(self, double seconds, callback):
        self.clock()
        self.repeat_ms = <uint64_t>max(1.0, seconds * 1000)
        self.repeat_callback = callback
        fs_wheel_disarm(&self.wheel, &self.repeat_timer)
        fs_wheel_arm(&self.wheel, &self.repeat_timer, self.now + self.repeat_ms)
        self.set_timer()

    def when_idle(self, callback):
        self.idle_callback = callback
        self.check_idle()

    def drop_connections(self):
        cdef Connection connection
        for connection in all_connections(self):
            try:
                connection.flush()
                connection.lose(FS_E_PEER_GONE)
            except BaseException as failure:
                connection.broken(failure)

    def close(self):
        if self.closed:
            return
        self.clock()
        for listener in listeners(self):
            forget_listener(self, listener)
        for watch in owners_of(self, Watch):
            forget_watch(self, watch)
        forget_siblings(self)
        self.drop_connections()
        self.closed = True
        self.interface.drop_spares()
        self.interface.detach()
        self.repeat_callback = None
        self.repeat_due = False
        self.bury()
        self.scheduled.clear()
        self.admitted.clear()
        self.access_log.finish()
        check_held(self)
        show_held(self)
        self.check_idle()

    # ---- processes that the application forks

    def note_fork(self):
        self.copied = True

    def forget_after_fork(self):
        cdef Connection connection
        cdef Listener listener
        cdef Watch watch
        if self.closed:
            return
        self.closed = self.forgotten = True
        for connection in all_connections(self):
            connection.forget()
        for listener in listeners(self):
            listener.fd = -1
        for watch in owners_of(self, Watch):
            watch.fd = -1
            watch.callback = None
        forget_siblings(self)
        fs_poller_close(&self.poller)
        self.poller.timer_due = 1       # due already, so that no timer is set any more
        self.access_log.forget()
        self.idle_callback = self.alarm_callback = self.repeat_callback = None
        self.forget_status()
        self.dead.append(None)          # so that a batch which is on the stack looks here when it ends
        self.interface.forget()

    cdef void forget_status(self) noexcept:
        """Changes to memory of our own: others read the parent's status."""
        cdef fs_status *own
        if self.status_buffer != NULL:
            own = <fs_status *>calloc(1, sizeof(fs_status))
            if own != NULL:
                PyBuffer_Release(self.status_buffer)
                free(self.status_buffer)
                self.status_buffer = NULL
                self.status = own

    def came_back(self):
        came_back(self.logger)

    def flush_access_log(self):
        self.access_log.flush()

    def reopen_access_log(self, int fd):
        self.access_log.flush()
        self.access_log = open_access_log(fd, self.status, self.logger)
        self.clock()

    def pass_time(self, double seconds):
        if not FS_DEBUG:
            raise RuntimeError("pass_time needs a debug build")
        fs_clock_advance(&self.poller, <uint64_t>(max(0.0, seconds) * 1000))

    # ---- what it knows of itself

    @property
    def connections(self):
        return self.live

    @property
    def requests(self):
        return max(self.in_flight, self.interface.busy())

    def counters(self):
        cdef unsigned count, i
        cdef const fs_error_info *table = fs_error_table(&count)
        counts = {
            "connections": self.status.connections_total,
            "requests": self.status.requests_total,
            "bytes_in": self.status.bytes_in,
            "bytes_out": self.status.bytes_out,
            "overloaded": self.status.overloaded,
            "accept_errors": self.status.accept_errors,
            "access_log_dropped": self.status.access_log_dropped,
        }
        for i in range(count):
            if -512 < table[i].code < 0:
                counts["error_" + table[i].name.decode().replace("-", "_")] = self.status.errors[-table[i].code]
        return counts


cdef Connection connection_of(fs_timer *timer):
    """Returns the connection around an intrusive timer."""
    cdef Connection none = None
    return <Connection><PyObject *>(<char *>timer - (<char *>&none.timer - <char *><PyObject *>none))
