# What an event of the application holds, borrowed; NULL if the key is missing.
ctypedef struct EventView:
    PyObject *type
    PyObject *status
    PyObject *headers
    PyObject *trailers
    PyObject *body
    PyObject *more_body


cdef class HTTPExchange(ASGIExchange):
    cdef Pieces pieces                  # request body that the application has not taken
    cdef int response                   # Response
    cdef int status
    cdef bint end_given                 # `receive` has said more_body False
    cdef dict versions                  # the scope's `asgi`, until the application has taken the body
    cdef bint listens                   # `receive` was awaited beyond the body: it will say when the client leaves
    cdef object fields                  # the sequence of pairs that `http.response.start` brought
    cdef uint64_t held_since            # monotonic ms: since when the head waits; 0: not seen, NEVER: for a body only
    cdef bint trailers                  # announced by the head
    cdef bint trailers_given            # the application has sent all trailers, and the client wanted none
    cdef bint taking                    # in `receive`: what arrives is taken at once

    cdef raises came(self, size_t n, bint end) except -1
    cdef raises no_room(self) except -1
    cdef raises clear(self) except -1
    cdef object start_response(self, dict event, EventView *view)
    cdef object send_body(self, dict event, EventView *view)
    cdef object send_path(self, dict event)
    cdef object send_file(self, dict event)
    cdef object send_hints(self, dict event)
    cdef object send_trailers(self, dict event)
    cdef raises expect(self, dict event, int response) except -1
    cdef raises expect_body(self, dict event) except -1
    cdef raises expect_whole(self, dict event) except -1
    cdef bint holds_head(self) noexcept
    cdef raises release_head(self) except -1
    cdef raises expect_offered(self, str name) except -1
    cdef str sent_so_far(self)
    cdef raises refuse_rest(self) except -1
    cdef raises dismiss(self) except -1
    cdef raises write_head(self, bint end, uint64_t length) except -1
    cdef object after_body(self, int result)
    cdef raises end(self) except -1
