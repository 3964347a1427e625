# One call of an ASGI application.
cdef class ASGIExchange(Exchange):
    cdef ASGIApplication interface
    cdef Task task                      # the application's, once it has suspended
    cdef dict request_scope             # from begin() to start()
    cdef object receiver                # the Wakeup of a waiting `receive` call, or None
    cdef list more_receivers            # those of further calls; None nearly always
    cdef object alarm                   # a timer of the loop, once the client has left and --timeout-client-gone is set
    cdef bint cut                       # `send` raises: nothing reaches the client, or a stop ends a deaf stream
    cdef list senders                   # futures of `send` calls that wait; None nearly always
    cdef object send                    # a Send, of this exchange alone
    cdef object receive                 # likewise a Receive

    cdef raises run(self) except -1
    cdef raises run_by_the_loop(self) except -1
    cdef raises suspended(self, Task task) except -1
    cdef dict next_event(self)
    cdef object handle_send(self, object event)
    cdef raises finished(self, object exception) except -1
    cdef object disconnected(self)
    cdef int log_failure(self, object exception, bint gone) except -1
    cdef raises log_begin(self, const fs_request_head *head, dict scope) except -1
    cdef raises send_head(self, int status, object pairs, uint32_t flags, uint64_t length) except -1
    cdef raises cancel(self) except -1
    cdef raises discard(self) except -1
    cdef raises add_receiver(self, object wakeup) except -1
    cdef raises drop_receiver(self, object wakeup) except -1
    cdef raises add_sender(self, object future) except -1
    cdef raises drop_sender(self, object future) except -1
    cdef raises wake_receivers(self, bint here) except -1
    cdef raises wake_senders(self) except -1
    cdef raises client_left(self) except -1
    cdef raises forget_alarm(self) except -1
    cdef bint unanswered(self) noexcept
    cdef int check(self, int result) except -1
