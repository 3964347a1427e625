# The driver owns one epoll instance with every listener and connection. An event loop watches that one descriptor and
# calls poll() once a batch, or threads wait for it themselves (threads.pxi).

cdef enum:
    RECEIVE_BUFFER = 262144     # bytes; one for all connections of a worker
    ACCEPT_BATCH = 128          # a listener's share of a turn
    ACCEPT_REST = 4096          # and of its last one: what the kernel lets wait, as it is set up by default
    ROOM_SAID_MS = 60000
    ACCEPT_PAUSE_MS = 100       # without descriptors: a rest, then another try
    STALL_MIN_MS = 50           # the worker stood still when it did not turn for longer than this
    STALL_BEFORE_MS = 1000      # by which the beginning of that may be missed, to the advantage of the peers

cdef uint64_t TOKEN = <uint64_t>1 << 63     # no pointer has this bit: the poller's own watch is one


def came_back(logger):
    """A child that the application forked has left the application's code: what follows is the parent's to do."""
    report(logger, LOG_ERROR, "A process that the application has forked came back into the server: it ends here", ())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(1)


@cython.final
cdef class Listener:
    """A listening socket; the descriptor stays the caller's."""

    def __cinit__(self, int fd, bint shared, object tls, int redirect, uint64_t name, bint mailbox=False):
        cdef fs_address address
        cdef char text[FS_ADDRESS_TEXT]
        self.fd = fd
        self.name = name
        self.mailbox = mailbox
        self.shared = shared
        self.tls = tls
        self.redirect = redirect
        if fs_local_address(fd, &address) < 0:
            raise OSError(errno, "not a socket")
        if mailbox:
            return
        if address.family == FS_FAMILY_UNIX:
            self.server = (unix_path(fd), None)
        elif address.family in (FS_FAMILY_INET, FS_FAMILY_INET6):
            host = PyUnicode_DecodeLatin1(text, fs_address_format(&address, text), NULL)
            if host not in ("0.0.0.0", "::"):
                self.server = (host, address.port)


@cython.final
cdef class Watch:
    """A descriptor of somebody else's, whose readiness is told to a callback."""


def unix_path(fd):
    with socket.socket(fileno=os.dup(fd)) as unix:
        name = unix.getsockname()
    return os.fsdecode(name) if isinstance(name, bytes) else name


cdef raises set_limits(fs_limits *limits, given) except -1:
    """The defaults, and what is given by name in their place."""
    cdef bytes name
    cdef int found
    fs_limits_default(limits)
    for key, value in given.items():
        name = key.encode()
        found = fs_limits_set(limits, name, len(name), PyNumber_Index(value))  # not truncated
        if found == FS_LIMIT_UNKNOWN:
            raise ValueError(f"unknown limit {key!r}")
        if found == FS_LIMIT_TOO_LARGE:
            raise OverflowError(f"{key}: {value} is larger than this limit can be")
    return 0


cdef dict default_limits():
    cdef fs_limits limits
    fs_limits_default(&limits)
    return {fs_limits_name(i).decode(): fs_limits_get(&limits, i) for i in range(FS_LIMIT_COUNT)}


LIMITS = types.MappingProxyType(default_limits())

STATUS_FIELDS = tuple(fs_status_names[i].decode() for i in range(FS_STATUS_COUNT))


cdef dict HTTP_VERSIONS = {"auto": HTTP_ANY, "1.1": HTTP_1_ONLY, "2": HTTP_2_ONLY}


cdef bytes header_lines(headers):
    """The `--header` fields as they go out, checked once."""
    lines = []
    for name, value in headers:
        if not fs_is_token(name, len(name)) or not fs_is_field_value(value, len(value)):
            raise ValueError(f"{name.decode('latin-1')!r}: {value.decode('latin-1')!r} is not a valid header")
        if name.lower() in (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"):
            raise ValueError(f"{name.decode('latin-1')!r} is the server's own header and cannot be set")
        lines.append(name.lower() + b": " + value + b"\r\n")
    return b"".join(lines)


@cython.final
cdef class Driver:

    def __cinit__(self, Interface interface not None, *, logger, limits=None, server_header=b"fastserve",
                  bint date_header=True, headers=(), int access_log_fd=-1, forwarding=None, proxy_protocol=None,
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
        self.queues = self.limits.max_queue or self.limits.timeout_queue
        self.queue = collections.OrderedDict()
        self.admitted = []
        self.scheduled = []
        self.dead = []
        self.told = []
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
        # Connections hold the driver: there is none left here. Listeners do not.
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

    cdef int take_slot(self, object owner) except -1:
        cdef uint32_t i, n
        cdef Slot *grown
        if self.slot_free == self.slot_count:
            n = max(<uint32_t>64, self.slot_count * 2)
            grown = <Slot *>realloc(self.slots, n * sizeof(Slot))
            if grown == NULL:
                raise MemoryError()
            self.slots = grown
            for i in range(self.slot_count, n):
                grown[i].owner = NULL
                grown[i].generation = 0
                grown[i].next_free = i + 1
            self.slot_count = n
        i = self.slot_free
        self.slot_free = self.slots[i].next_free
        Py_INCREF(owner)
        self.slots[i].owner = <PyObject *>owner
        return i

    cdef void free_slot(self, uint32_t index) noexcept:
        cdef PyObject *owner = self.slots[index].owner
        self.slots[index].owner = NULL
        self.slots[index].generation = (self.slots[index].generation + 1) & 0x7fffffff
        self.slots[index].next_free = self.slot_free
        self.slot_free = index
        Py_DECREF(<object>owner)

    cdef void *token(self, uint32_t index) noexcept:
        return <void *>(TOKEN | <uint64_t>self.slots[index].generation << 32 | index)

    # ---- listening

    def add_listener(self, int fd, *, bint shared=False, tls=None, int redirect=0, uint64_t name=0):
        cdef Listener listener = Listener(fd, shared, tls, redirect, name)
        cdef int result = fs_listener_prepare(fd)
        if result == 0:
            result = self.watch_listener(listener)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        if name:
            self.by_name.setdefault(name, listener)

    cdef int watch_listener(self, Listener listener) except 1:
        """0 or -errno."""
        cdef int result
        listener.slot = self.take_slot(listener)
        result = fs_poller_add_listener(&self.poller, listener.fd, self.token(listener.slot), listener.shared)
        if result < 0:
            self.free_slot(listener.slot)
        return result

    def remove_listener(self, int fd):
        self.accept_rest([self.listener_of(fd)], True)

    def accept_waiting(self):
        self.accept_rest(self.listeners(), False)

    def stop_listening(self):
        self.forget_siblings()      # what is accepted from here on is served here: they may be stopping, too
        self.status.mailbox = 0
        self.accept_rest(self.listeners(), True)

    cdef Listener listener_of(self, int fd):
        cdef Listener listener
        for listener in self.listeners():
            if listener.fd == fd:
                return listener
        raise ValueError(f"descriptor {fd} is not watched as a listener")

    cdef raises accept_rest(self, list listeners, bint last) except -1:
        """Takes what waits, all of it; `last`: and then nothing any more."""
        cdef Listener listener
        cdef bint polling
        self.clock()
        polling = self.let_turns_wait(True)
        try:
            for listener in listeners:
                if last:
                    # First: of several that share a socket the kernel wakes one, and counts on it. A connection that
                    # comes after this wakes another one, what came before is taken here.
                    fs_poller_remove(&self.poller, listener.fd)
                    if listener.mailbox:
                        self.shut_mailbox(listener)
                self.accept_from(listener, ACCEPT_REST)
                if last:
                    self.forget_listener(listener)
        finally:
            self.let_turns_wait(polling)
            if not polling:
                self.finish_batch()

    cdef list owners(self, object kind):
        cdef uint32_t i
        return [<object>self.slots[i].owner for i in range(self.slot_count)
                if self.slots[i].owner != NULL and type(<object>self.slots[i].owner) is kind]

    cdef list listeners(self):
        return self.owners(Listener)

    cdef list connections_(self):
        return self.owners(Connection)

    cdef raises accept_from(self, Listener listener, int most) except -1:
        cdef fs_address peer
        cdef int fd, i
        if listener.mailbox:
            return self.accept_handed(listener, most)
        for i in range(most):
            fd = fs_accept(listener.fd, &peer)
            if fd >= 0:
                if PyList_GET_SIZE(self.siblings):
                    if i == 0:
                        self.note_short_lives()
                    if self.hand_over(fd, &peer, listener):
                        continue
                self.status.connections_total += 1
                self.open_connection(fd, &peer, listener)
            elif fd == FS_AGAIN:
                return 0
            elif -fd in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                self.pause_accepting(-fd)
                return 0
            elif -fd in (EBADF, EINVAL, ENOTSOCK):
                # Somebody closed the socket under us.
                report(self.logger, LOG_ERROR, "A listening socket is gone: %s", (os.strerror(-fd),))
                self.forget_listener(listener)
                return 0
            else:
                self.status.accept_errors += 1    # the client went before it was taken: accept(2) says to go on

    cdef raises pause_accepting(self, int error) except -1:
        """No descriptors left. The listeners are level-triggered: they rest, or the loop would spin."""
        if self.accept_paused_until == 0:
            report(self.logger, LOG_ERROR, "No connection can be accepted: %s. Raise the limit of open files, or set "
                   "--limit-concurrency below it", (os.strerror(error),))
        self.status.accept_errors += 1
        self.accept_paused_until = self.now + ACCEPT_PAUSE_MS
        self.status.mailbox = 0
        for listener in self.listeners():
            fs_poller_remove(&self.poller, (<Listener>listener).fd)
        fs_wheel_arm(&self.wheel, &self.accept_timer, self.accept_paused_until)

    cdef raises resume_accepting(self) except -1:
        self.accept_paused_until = 0
        for listener in self.listeners():
            fs_poller_add_listener(&self.poller, (<Listener>listener).fd, self.token((<Listener>listener).slot),
                                   (<Listener>listener).shared)
            if (<Listener>listener).mailbox:
                self.status.mailbox = 1

    cdef raises forget_listener(self, Listener listener) except -1:
        if listener.fd >= 0:
            fs_poller_remove(&self.poller, listener.fd)
            listener.fd = -1
            self.free_slot(listener.slot)

    cdef raises open_connection(self, int fd, fs_address *peer, Listener listener) except -1:
        cdef Connection connection
        cdef int result
        try:
            connection = Connection.__new__(Connection, self, fd)
            connection.slot = self.take_slot(connection)
        except BaseException:
            fs_close(fd)
            raise
        connection.peer = peer[0]
        connection.listener = listener
        connection.opened = self.now
        self.live += 1
        self.status.connections = self.live
        if listener is not None:
            if listener.tls is not None:
                begin_tls(connection, listener.tls)
            elif listener.redirect:
                connection.redirects = True
        if self.proxy_protocol is not None:
            expect_proxy_header(connection, self.proxy_protocol)
            if connection.fd < 0:
                return 0
        result = fs_poller_add(&self.poller, fd, self.token(connection.slot))
        if result < 0:
            report(self.logger, LOG_ERROR, "A connection cannot be watched: %s", (os.strerror(-result),))
            connection.close(True)
        return 0

    def adopt(self, int fd):
        cdef fs_address peer
        if fs_peer_address(fd, &peer) < 0:
            memset(&peer, 0, sizeof(peer))
        os.set_blocking(fd, False)
        self.open_connection(fd, &peer, None)

    # ---- connections that one worker accepts and another one serves

    def add_mailbox(self, int fd):
        cdef int result = self.watch_listener(Listener(fd, False, None, 0, 0, True))
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        self.status.mailbox = 1

    cdef raises shut_mailbox(self, Listener mailbox) except -1:
        """Nothing comes any more; what lies there is still to be taken."""
        cdef int result = fs_mailbox_shut(mailbox.fd)
        self.status.mailbox = 0
        if result < 0:
            report(self.logger, LOG_ERROR, "Internal error: a mailbox cannot be shut: %s", (os.strerror(-result),))

    cdef raises accept_handed(self, Listener mailbox, int most) except -1:
        cdef fs_handover handover
        cdef int fd, i
        for i in range(most):
            fd = fs_take_over(mailbox.fd, &handover)
            if fd >= 0:
                self.open_handed(fd, &handover)
            elif fd == FS_AGAIN:
                return 0
            elif -fd == EMFILE:
                self.pause_accepting(EMFILE)
                return 0
            else:
                self.status.accept_errors += 1
                report(self.logger, LOG_ERROR, "A connection that a sibling handed over is lost: %s", (os.strerror(-fd),))

    cdef raises open_handed(self, int fd, const fs_handover *handover) except -1:
        cdef fs_address peer = handover.peer
        listener = self.by_name.get(handover.listener)
        if listener is None:
            self.status.accept_errors += 1
            report(self.logger, LOG_ERROR, "A connection that a sibling handed over is closed: its address is not served here", ())
            fs_close(fd)
            return 0
        self.status.connections_total += 1
        self.status.taken_over += 1
        self.open_connection(fd, &peer, <Listener>listener)

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
                self.forget_sibling(sibling)

    cdef raises forget_siblings(self) except -1:
        cdef Sibling sibling
        for sibling in list(self.siblings):
            self.forget_sibling(sibling)

    cdef raises forget_sibling(self, Sibling sibling) except -1:
        self.siblings.remove(sibling)
        sibling.close()

    cdef void note_short_lives(self) noexcept:
        """Where clients ask once a connection, as many as have just come are about to go: they are no reason to hand
        others over. How many, is learnt from those that have gone from one accept to the next, at most, lately."""
        self.short_lives = max(16 * self.short_lived, self.short_lives - (self.short_lives + 15) // 16)
        self.short_lived = 0
        self.passing = self.short_lives // 16

    cdef bint hand_over(self, int fd, const fs_address *peer, Listener listener) except -1:
        """Whether a sibling that has less to do has the accepted connection now, and this worker has it no more."""
        cdef fs_handover handover
        cdef Sibling sibling
        cdef int result
        if not listener.name:
            return False
        sibling = least_busy(self.siblings, self.in_flight, max(self.live, self.passing) - self.passing, self.now,
                             self.limits.max_concurrency)
        if sibling is None:
            return False
        memset(&handover, 0, sizeof(handover))
        self.handover_number += 1
        handover.number = self.handover_number
        handover.listener = listener.name
        handover.peer = peer[0]
        result = fs_hand_over(sibling.fd, fd, &handover)
        if result < 0:
            if result == -EPIPE:
                self.forget_sibling(sibling)    # it stops
            return False                        # no room, or no more descriptors may be on their way: it stays here
        fs_close(fd)
        sibling.give()
        self.status.handed_over += 1
        return True

    # ---- descriptors of others

    def watch(self, int fd, callback):
        cdef Watch watch = Watch.__new__(Watch)
        cdef int result
        watch.fd = fd
        watch.callback = callback
        watch.slot = self.take_slot(watch)
        result = fs_poller_add_reader(&self.poller, fd, self.token(watch.slot))
        if result < 0:
            self.free_slot(watch.slot)
            raise OSError(-result, os.strerror(-result))

    def unwatch(self, int fd):
        cdef Watch watch
        for watch in self.owners(Watch):
            if watch.fd == fd:
                self.forget_watch(watch)
                return
        raise ValueError(f"descriptor {fd} is not watched")

    cdef raises forget_watch(self, Watch watch) except -1:
        fs_poller_remove(&self.poller, watch.fd)
        watch.fd = -1
        watch.callback = None
        self.free_slot(watch.slot)

    cdef raises tell_watches(self) except -1:
        """Calls those whose descriptor is ready: between two batches, where a callback may do with the driver whatever
        it likes."""
        cdef Watch watch
        if self.repeat_due:
            self.repeat_due = False
            try:
                self.repeat_callback()
            except Exception as failure:
                report(self.logger, LOG_CRITICAL, "Internal error in the periodic callback", (), failure)
        told, self.told = self.told, []
        for watch in told:
            watch.due = False
            if watch.fd >= 0:
                try:
                    watch.callback()
                except Exception as failure:
                    report(self.logger, LOG_CRITICAL, "Internal error: what watches descriptor %d has failed",
                           (watch.fd,), failure)

    # ---- the batch

    cdef void clock(self) noexcept:
        self.look(self.poller.timer_due)

    cdef void look(self, uint64_t due) noexcept:
        """Reads the clock for this round; `due` is when the timer was to wake the worker, monotonic ms. What came later than that
        is time in which it did not turn, and the peers are not judged by it (Connection.excused)."""
        cdef int64_t second = fs_unix_seconds()
        cdef uint64_t us = fs_monotonic_us()
        self.now = us // 1000
        if due and self.now > due + STALL_MIN_MS:
            # When it began is not known, but for between the last look and the time that was missed: at most a second before that.
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
        """Takes what is ready, once, without waiting. Inside a poll() or sweep(), from an application that runs the loop in itself,
        it does nothing."""
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
        if PyList_GET_SIZE(self.told) or self.repeat_due:
            self.tell_watches()
        if PyList_GET_SIZE(self.scheduled):
            self.schedule_sweep()       # a sweep() inside this poll has done nothing

    # These are the driver's own: other parts call the verbs, and assign none of them (tests/test_architecture.py).

    cdef void begin_batch(self) noexcept:
        """This thread's turns may end later in the batch, with those that follow."""
        self.polling = True

    cdef void end_batch(self) noexcept:
        """From here on a turn sends at once what it has queued."""
        self.polling = False

    cdef bint let_turns_wait(self, bint may) noexcept:
        """One of the two; gives which it was."""
        cdef bint before = self.polling
        self.polling = may
        return before

    cdef bint enter_application(self) noexcept:
        """The application's code lies on the stack from here on, and nothing else of it is called into. Gives what leave_application
        takes."""
        cdef bint before = self.idle_stack
        self.idle_stack = False
        return before

    cdef void leave_application(self, bint before) noexcept:
        self.idle_stack = before

    cdef void hold_buffer(self) noexcept:
        """A turn is on the stack, whose unparsed bytes may lie in the worker's buffer: nobody else receives."""
        self.buffer_held = True

    cdef void release_buffer(self) noexcept:
        self.buffer_held = False

    cdef raises take_all(self, const fs_ready *ready, int n) except -1:
        """Each event stands for itself: most are edge-triggered, and one that is lost does not come again."""
        cdef int i = 0
        while i < n:
            try:
                while i < n:
                    i += 1
                    self.take(&ready[i - 1])
            except BaseException as failure:
                report(self.logger, LOG_CRITICAL, "Internal error in the driver", (), failure)

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
            self.accept_from(<Listener>owner, ACCEPT_BATCH)
        elif not (<Watch>owner).due:
            (<Watch>owner).due = True
            self.told.append(owner)

    cdef raises defer(self, Connection connection) except -1:
        """The ends of turns, where the answers are sent, wait for one another, a few at a time: the kernel's way out
        is long, and the parser, the interpreter and the application stay in the caches until it is taken."""
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
        # A copy: what is sent may run the application's code, a destructor, and that may come back here.
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
        """Ends a round: where an application has kept it from its end for long, that is no time of the peers'."""
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
            self.check_held()
        self.show_held()
        if self.access_log.oldest and self.log_timer.next == NULL:
            fs_wheel_arm(&self.wheel, &self.log_timer, self.access_log.oldest + LOG_AGE_MS)
        if self.ended_now:
            self.count_durations(fs_monotonic_us())
        self.set_timer()

    cdef void show_held(self) noexcept:
        self.status.buffered = self.memory.used
        self.status.body_files = self.files.used

    cdef raises check_held(self) except -1:
        """In a debug build: what is charged to clients belongs to somebody. (A file may be its application's still.)"""
        if FS_DEBUG and self.live == 0 and self.running == 0 and live_objects["connections"] == 0:
            assert self.memory.used == 0, f"{self.memory.used} bytes are charged to clients that are gone"

    cdef raises bury(self) except -1:
        """Lets the closed connections go. A connection and its session form a reference cycle: it is broken here, unless something of
        the connection is still on the stack, as where a destructor has come here from within its turn."""
        cdef list dead = self.dead
        cdef Connection connection
        self.dead = []
        for connection in dead:
            if connection.flags & (CONN_IN_TURN | CONN_FLUSHING):
                self.dead.append(connection)
            else:
                connection.session = ENDED

    cdef raises set_timer(self) except -1:
        cdef uint64_t due = fs_wheel_next(&self.wheel)
        cdef int result
        # A timer that is armed for an earlier time is left alone: firing once for nothing costs less than each move.
        if self.poller.timer_due and (due == 0 or due >= self.poller.timer_due):
            return 0
        result = fs_poller_set_timer(&self.poller, due)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    cdef raises expire(self) except -1:
        """The last event of its batch, after which the answers of it leave: a connection is judged by what it waits for then."""
        cdef fs_timer *timer
        self.send_deferred()
        while True:
            timer = fs_wheel_expire(&self.wheel, self.now)
            if timer == NULL:
                return 0
            if timer == &self.accept_timer:
                self.resume_accepting()
            elif timer == &self.log_timer:
                self.access_log.flush()
            elif timer == &self.alarm_timer:
                callback, self.alarm_callback = self.alarm_callback, None
                try:
                    callback()
                except Exception as failure:
                    report(self.logger, LOG_CRITICAL, "Internal error in the alarm callback", (), failure)
            elif timer == &self.beat_timer:
                fs_wheel_arm(&self.wheel, &self.beat_timer, self.now + self.beat_ms)
                self.interface.beat()
            elif timer == &self.repeat_timer:
                self.repeat_due = True
                fs_wheel_arm(&self.wheel, &self.repeat_timer, self.now + self.repeat_ms)
            else:
                connection_of(timer).expired()

    cdef raises schedule(self, Connection connection) except -1:
        """A turn for this connection when the loop comes round."""
        if connection.flags & CONN_SCHEDULED:
            return 0
        connection.flags |= CONN_SCHEDULED
        self.scheduled.append(connection)
        self.schedule_sweep()

    cdef raises schedule_again(self, Connection connection) except -1:
        """A turn after the one that it may have been scheduled for, whose list is being worked through."""
        connection.flags &= ~<uint32_t>CONN_SCHEDULED
        self.schedule(connection)

    cdef raises schedule_sweep(self) except -1:
        if not self.sweep_scheduled and not self.closed:
            self.sweep_scheduled = True
            self.interface.wake()

    def sweep(self):
        """The turns that were asked for outside of poll, and in it for later."""
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

    cdef void count_error(self, int error) noexcept:
        if -512 < error < 0:
            self.errors[-error] += 1
        if error == FS_E_NO_ROOM:
            self.status.no_room += 1
        elif error == FS_E_NEVER_FITS:
            self.status.never_fits += 1
        if fs_error_is_application(error):
            self.status.application_errors += 1
        elif fs_error_is_peer(error) and error not in (FS_E_OVERLOADED, FS_E_QUEUE_TIMEOUT, FS_E_NO_ROOM, FS_E_PEER_GONE):
            self.status.peer_errors += 1

    cdef void say_no_room(self, int error) noexcept:
        """At most once a minute: clients could write the log full."""
        if error != FS_E_NO_ROOM or self.room_said and self.now < self.room_said + ROOM_SAID_MS:
            return
        self.room_said = self.now
        report(self.logger, LOG_WARNING, "Requests are answered 503: for clients %d bytes are held in memory and %d in files "
               "(--limit-buffered, --limit-body-files)", (self.memory.used, self.files.used))

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
        for connection in self.connections_():
            (<Connection>connection).drain()
        self.finish_batch()

    def tell_streams(self):
        self.gave_up = True
        for connection in self.connections_():
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
        for connection in self.connections_():
            try:
                connection.flush()
                connection.lost(FS_E_PEER_GONE)
            except BaseException as failure:
                connection.broken(failure)

    def close(self):
        if self.closed:
            return
        self.clock()
        for listener in self.listeners():
            self.forget_listener(listener)
        for watch in self.owners(Watch):
            self.forget_watch(watch)
        self.forget_siblings()
        self.drop_connections()
        self.closed = True
        self.interface.clear()
        self.interface.detach()
        self.repeat_callback = None
        self.repeat_due = False
        self.bury()
        self.scheduled.clear()
        self.admitted.clear()
        self.access_log.finish()
        self.check_held()
        self.show_held()
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
        for connection in self.connections_():
            connection.forget()
        for listener in self.listeners():
            listener.fd = -1
        for watch in self.owners(Watch):
            watch.fd = -1
            watch.callback = None
        self.forget_siblings()
        fs_poller_close(&self.poller)
        self.poller.timer_due = 1       # none is set any more: it is due already
        self.access_log.forget()
        self.idle_callback = self.alarm_callback = self.repeat_callback = None
        self.forget_status()
        self.dead.append(None)          # so that a batch which is on the stack looks here when it ends
        self.interface.forget()

    cdef void forget_status(self) noexcept:
        """Others read the parent's."""
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
            raise RuntimeError("time passes by itself, except in a debug build")
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
                counts["error_" + table[i].name.decode().replace("-", "_")] = self.errors[-table[i].code]
        return counts


cdef Connection connection_of(fs_timer *timer):
    """The connection around an intrusive timer."""
    cdef Connection none = None
    return <Connection><PyObject *>(<char *>timer - (<char *>&none.timer - <char *><PyObject *>none))
