# The workers beside this one, and which of them has so much less to do that a connection is better served there.

cdef enum:
    SPREAD_MARGIN = 4           # requests in flight, or connections, that a sibling has fewer at least,
    SPREAD_SHARE = 8            # and at least this part of what it has: to hand over costs as much as some requests
    SHORT_LIFE_MS = 1000        # a connection that ends within it says nothing of how much there is to do
    SILENT_BUSY_MS = 100        # a sibling with requests has turned within it,
    SILENT_IDLE_MS = 1500       # and one without, which shows once a second that it is alive


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
        """Connections that it was given and does not show yet."""
        cdef uint64_t taken = self.status.taken_over
        self.given -= min(self.given, taken - self.taken)   # or others' ones, which leaves it underrated for a moment
        self.taken = taken
        if self.status.turns > self.turns + 1:
            self.given = 0      # it has turned since, and begun after that: it takes all that there is
        return self.given

    cdef void give(self) noexcept:
        self.turns = self.status.turns
        self.given += 1


cdef bint clearly_fewer(uint64_t few, uint64_t many) noexcept:
    return many > few + max(<uint64_t>SPREAD_MARGIN, few // SPREAD_SHARE)


cdef bint less_busy(uint64_t in_flight, uint64_t connections, uint64_t than_in_flight, uint64_t than_connections) noexcept:
    """By the requests in flight, and where these are about as many by the open connections. (A worker that computes has
    hardly a request in flight: the others wait in their sockets.)"""
    if clearly_fewer(in_flight, than_in_flight):
        return True
    return clearly_fewer(connections, than_connections) and not clearly_fewer(than_in_flight, in_flight)


cdef Sibling least_busy(list siblings, uint64_t in_flight, uint64_t connections, uint64_t now, uint32_t max_running):
    """The sibling that has clearly less to do than so many requests and connections that will stay; of several one that
    none is clearly less busy than. None: there is none. Whoever stops, hangs or is full is passed over."""
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
