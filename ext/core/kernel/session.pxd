# One protocol on one connection: session.pxi says what each verb does.
cdef class Session:
    cdef Driver driver
    cdef Connection connection
    cdef bint wants_bytes(self) noexcept
    cdef uint64_t body_wanted(self) noexcept
    cdef bint receive_direct(self) except -1
    cdef int feed(self, char *p, size_t n) noexcept
    cdef int settle(self) noexcept
    cdef raises not_kept(self, int error) except -1
    cdef raises events(self) except -1
    cdef raises on_eof(self) except -1
    cdef raises attach(self, Exchange exchange, fs_event *event) except -1
    cdef list exchanges(self)
    cdef bint awaits_step(self) noexcept
    cdef raises refuse(self, int error) except -1
    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1
    cdef raises response_ended(self, Exchange exchange) except -1
    cdef raises lose_all(self) except -1
    cdef bint reads_for(self, Exchange exchange) noexcept
    cdef bint has_input(self) noexcept
    cdef raises body_awaited(self, Exchange exchange) except -1
    cdef raises tunnel_opened(self) except -1
    cdef bint is_full(self, Exchange exchange) except -1
    cdef uint64_t unsent(self, Exchange exchange) noexcept
    cdef bint room_is_read(self) noexcept
    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1
    cdef int pump(self) except -1
    cdef raises note_room(self) except -1
    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept
    cdef bint awaits_peer(self) noexcept
    cdef raises expired(self, uint64_t now) except -1
    cdef raises drain(self) except -1
    cdef bint is_finished(self) except -1
    cdef bint is_complete(self) noexcept
    cdef bint must_reset(self) noexcept
    cdef bint must_linger(self) noexcept
