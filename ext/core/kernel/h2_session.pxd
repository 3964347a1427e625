# Lays fs_body_queue over a stream's own out-queue: `base` comes first here too.
ctypedef struct StreamQueue:
    fs_body_queue base
    fs_outqueue queue


cdef class H2Session(Session):
    cdef Exchange unstarted             # that of the newest stream, if its application has not been called yet
    cdef fs_h2 h2
    cdef uint32_t waiting_streams       # streams whose exchange waits for room
    cdef uint64_t pong_by               # monotonic ms; while h2.pinged
    cdef bint failure_counted
    cdef raises start(self) except -1
    cdef raises take(self, fs_event *event) except -1
    cdef raises take_data(self, Exchange exchange, fs_slice *data) except -1
    cdef raises after_data(self, Exchange exchange) except -1
    cdef raises read_on(self) except -1
    cdef raises forget(self, Exchange exchange) except -1
    cdef raises stream_lost(self, Exchange exchange, int error) except -1
    cdef raises refuse_stream(self, fs_h2_stream *stream, int error) except -1
    cdef raises give_up_blocked(self) except -1
    cdef uint64_t due(self) noexcept
    cdef uint64_t stream_due(self, fs_h2_stream *stream) noexcept
    cdef raises stream_expired(self, fs_h2_stream *stream, uint64_t now) except -1
