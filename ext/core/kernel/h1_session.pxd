cdef class H1Session(Session):
    cdef Exchange exchange              # the request that is being read or answered
    cdef bint tunnel                    # it has upgraded the stream and takes bytes instead of events
    cdef uint64_t head_number           # h1.requests when the wait for a head or for a request began
    cdef fs_h1 h1
    cdef bint must_pause(self) except -1
    cdef raises take_tunnel(self) except -1
    cdef raises release(self, Exchange exchange) except -1
    cdef Phase waits_for_exchange(self, uint64_t *since, uint64_t *deadline) noexcept
    cdef uint64_t request_since(self, Phase phase) noexcept
