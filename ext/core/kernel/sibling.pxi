# The other workers, and which of them has so much less to do that it serves a connection better.

cdef enum:
    SPREAD_MARGIN = 4           # a sibling has at least this many requests in flight, or connections, fewer,
    SPREAD_SHARE = 8            # and fewer by this part of its own: a handover costs as much as some requests
    SHORT_LIFE_MS = 1000        # a connection that ends sooner does not show how much there is to do
    SILENT_BUSY_MS = 100        # a sibling with requests has turned within this time,
    SILENT_IDLE_MS = 1500       # and one without within this, as it shows once a second that it is alive


@cython.final
cdef class Sibling:
    """Another worker with a mailbox."""

    def __cinit__(self, object number, int fd, object status):
        cdef Py_buffer view
        self.number = number
        self.fd = -1
        PyObject_GetBuffer(status, &view, PyBUF_SIMPLE)
        self.memory = <Py_buffer *>malloc(sizeof(view))
        if self.memory == NULL:
            PyBuffer_Release(&view)
            raise MemoryError()
        self.memory[0] = view
        if view.len < <Py_ssize_t>sizeof(fs_status) or <size_t>view.buf % sizeof(uint64_t):
            raise ValueError(f"status is {sizeof(fs_status)} bytes of memory at least, aligned to {sizeof(uint64_t)}")
        self.status = <const fs_status *>view.buf
        self.taken = self.status.taken_over
        self.fd = fd

    def __dealloc__(self):
        if self.fd >= 0:
            fs_close(self.fd)
        if self.memory != NULL:
            PyBuffer_Release(self.memory)
            free(self.memory)

    cdef raises close(self) except -1:
        if self.fd >= 0:
            fs_close(self.fd)
            self.fd = -1

    cdef uint64_t on_their_way(self) noexcept:
        """Returns the connections that it was given and does not show yet."""
        cdef uint64_t taken = self.status.taken_over
        self.given -= min(self.given, taken - self.taken)   # or those of others, which underrates it for a moment
        self.taken = taken
        if self.status.turns > self.turns + 1:
            self.given = 0      # it has begun and ended a turn since: it takes everything at once
        return self.given

    cdef void give(self) noexcept:
        self.turns = self.status.turns
        self.given += 1


cdef bint clearly_fewer(uint64_t few, uint64_t many) noexcept:
    return many > few + max(<uint64_t>SPREAD_MARGIN, few // SPREAD_SHARE)


cdef bint less_busy(uint64_t in_flight, uint64_t connections, uint64_t than_in_flight, uint64_t than_connections) noexcept:
    """Compares by the requests in flight, and if these are about as many, by the open connections. (A worker that
    computes has hardly a request in flight: the others wait in their sockets.)"""
    if clearly_fewer(in_flight, than_in_flight):
        return True
    return clearly_fewer(connections, than_connections) and not clearly_fewer(than_in_flight, in_flight)


cdef Sibling least_busy(list siblings, uint64_t in_flight, uint64_t connections, uint64_t now, uint32_t max_running):
    """Returns the sibling that has clearly less to do than this many requests and lasting connections: of several, one
    than which none is clearly less busy; None if there is none. Skips siblings that stop, hang or are full."""
    cdef Sibling each, least = None
    cdef uint64_t its_in_flight, its_connections
    if connections < SPREAD_MARGIN and in_flight < SPREAD_MARGIN:
        return None
    for each in siblings:
        its_in_flight = each.status.in_flight
        if not each.status.mailbox or max_running and each.status.running >= max_running:
            continue
        if each.status.threads_overdue_since:
            continue            # it turns, but has no thread that serves
        if now > each.status.heartbeat + (SILENT_BUSY_MS if its_in_flight else SILENT_IDLE_MS):
            continue
        its_connections = each.status.connections + each.on_their_way()
        if less_busy(its_in_flight, its_connections, in_flight, connections):
            least, in_flight, connections = each, its_in_flight, its_connections
    return least


cdef raises shut_mailbox(Driver driver, Listener mailbox) except -1:
    """Lets nothing more into the mailbox; what it holds still has to be taken."""
    cdef int result = fs_mailbox_shut(mailbox.fd)
    driver.status.mailbox = 0
    if result < 0:
        report(driver.logger, LOG_ERROR, "internal error: a mailbox cannot be shut: %s", (os.strerror(-result),))


cdef raises accept_handed(Driver driver, Listener mailbox, int most) except -1:
    cdef fs_handover handover
    cdef int fd, i
    for i in range(most):
        fd = fs_take_over(mailbox.fd, &handover)
        if fd >= 0:
            open_handed(driver, fd, &handover)
        elif fd == FS_AGAIN:
            return 0
        elif -fd == EMFILE:
            pause_accepting(driver, EMFILE)
            return 0
        else:
            driver.status.accept_errors += 1
            report(driver.logger, LOG_ERROR, "a connection that a sibling handed over is lost: %s", (os.strerror(-fd),))


cdef raises open_handed(Driver driver, int fd, const fs_handover *handover) except -1:
    cdef fs_address peer = handover.peer
    listener = driver.by_name.get(handover.listener)
    if listener is None:
        driver.status.accept_errors += 1
        report(driver.logger, LOG_ERROR, "a connection that a sibling handed over is closed: its address is not served here", ())
        fs_close(fd)
        return 0
    driver.status.connections_total += 1
    driver.status.taken_over += 1
    open_connection(driver, fd, &peer, <Listener>listener)


cdef raises forget_siblings(Driver driver) except -1:
    cdef Sibling sibling
    for sibling in list(driver.siblings):
        forget_sibling(driver, sibling)


cdef raises forget_sibling(Driver driver, Sibling sibling) except -1:
    driver.siblings.remove(sibling)
    sibling.close()


cdef void note_short_lives(Driver driver) noexcept:
    """Estimates how many connections are about to end: if clients send one request a connection, as many as have just
    come. They are no reason to hand others over. The estimate is the recent most that have ended between two
    accepts."""
    driver.short_lives = max(16 * driver.short_lived, driver.short_lives - (driver.short_lives + 15) // 16)
    driver.short_lived = 0
    driver.passing = driver.short_lives // 16


cdef bint hand_over(Driver driver, int fd, const fs_address *peer, Listener listener) except -1:
    """Hands an accepted connection over to a sibling with less to do. Returns whether this worker no longer has it."""
    cdef fs_handover handover
    cdef Sibling sibling
    cdef int result
    if not listener.name:
        return False
    sibling = least_busy(driver.siblings, driver.in_flight, max(driver.live, driver.passing) - driver.passing, driver.now,
                         driver.limits.max_concurrency)
    if sibling is None:
        return False
    memset(&handover, 0, sizeof(handover))
    driver.handover_number += 1
    handover.number = driver.handover_number
    handover.listener = listener.name
    handover.peer = peer[0]
    result = fs_hand_over(sibling.fd, fd, &handover)
    if result < 0:
        if result == -EPIPE:
            forget_sibling(driver, sibling)    # it stops
        return False                        # no room, or too many descriptors in transit: it stays here
    fs_close(fd)
    sibling.give()
    driver.status.handed_over += 1
    return True
