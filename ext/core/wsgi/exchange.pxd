# One call of a WSGI application.
cdef class WSGIExchange(ThreadedExchange):
    cdef WSGIApplication interface
    cdef Threads threads
    cdef bint paused                    # waits for room in the out-queue
    cdef uint64_t seen_sent             # bytes of the answer that were sent by then
    cdef dict environ                   # from begin() to the call
    # the request's body
    cdef BodyStore body
    # the response
    cdef object status                  # str, None until start_response
    cdef int code                       # the status as a number
    cdef tuple fields                   # pairs of str
    cdef object said_length             # the application's Content-Length, or None
    cdef object iterable                # what the application returned
    cdef object iterator
    cdef bint single                    # the iterable says that it has one element
    cdef object room                    # the event on which `write` waits, or None
    cdef StartResponse start_response
    cdef Write write
    cdef EarlyHints early_hints
    cdef ClientIsGone client_disconnected

    cdef raises clear(self) except -1
    cdef raises discard(self) except -1
    cdef raises call(self) except -1
    cdef raises answer(self, object result) except -1
    cdef raises answer_whole(self, bytes body) except -1
    cdef int answer_file(self, FileWrapper wrapper) except -1
    cdef int pull(self) except -1
    cdef raises send_piece(self, bytes piece) except -1
    cdef int after_body(self, int result) except -1
    cdef raises end_body(self) except -1
    cdef raises completed(self) except -1
    cdef raises give_turn(self, Connection connection) except -1
    cdef raises leave_soon(self) except -1
    cdef raises expect_body(self, fs_request_head *head) except -1
    cdef raises unstored(self, error) except -1
    cdef raises give_up_body(self, int error) except -1
    cdef raises drop_call(self) except -1
    cdef raises no_room(self, int error) except -1
    cdef raises enqueue(self) except -1
    cdef raises write_head(self, bint end, uint64_t length) except -1
    cdef void failed(self, object failure) noexcept
    cdef void close_iterable(self) noexcept
    cdef object handle_start(self, object status, object headers, object exc_info)
    cdef raises handle_write(self, object data) except -1
    cdef raises handle_hints(self, object headers) except -1
    cdef raises wait_for_room(self) except -1
    cdef raises wait_alone(self) except -1
    cdef raises make_room(self) except -1
    cdef bint leads(self) noexcept
    cdef raises refuse_late(self) except -1
    cdef bint client_is_gone(self) except -1


# The callables of a WSGI application.
cdef class StartResponse:
    cdef void *vectorcall               # first field, as in Send
    cdef WSGIExchange exchange


cdef class Write:
    cdef WSGIExchange exchange


cdef class EarlyHints(Handle):
    cdef WSGIExchange exchange


cdef class ClientIsGone(Handle):
    cdef WSGIExchange exchange
