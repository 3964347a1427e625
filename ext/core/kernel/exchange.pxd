# One request and its answer: what all interfaces share. An exchange sees its stream and never the protocol.
cdef class Exchange:
    cdef Driver driver
    cdef Connection connection          # None once the response has ended or the connection is gone
    cdef fs_stream *stream              # NULL together with it
    cdef object client                  # for the log: kept only if there is a log
    cdef object method
    cdef object raw_path
    cdef object query
    cdef int version
    cdef uint64_t started_us            # monotonic, 0 without an access log
    cdef uint64_t begun_us              # Driver.now_us of the batch that brought its head
    cdef fs_status_row *row             # its row among the requests in flight; NULL if none was free
    cdef uint64_t since                 # monotonic ms at which the application's time began, 0 before
    cdef uint64_t awaiting_since        # since when it waits for the client; 0 while it does not
    cdef uint64_t quiet_since           # monotonic ms: when the answer last made progress, 0 before
    cdef uint64_t sent_before           # `stream.body_sent` at that time
    cdef bint logged                    # the access log has its line
    cdef bint counted                   # its answer is counted among the responses and durations
    cdef bint started                   # the application has been called, or will be when the body is there
    cdef bint queued                    # a step in the application is due, and after it another turn
    cdef bint running                   # the application has not returned yet
    cdef bint counts                    # it is counted in Driver.running
    cdef int waits                      # WAITS_*: for a place, or for its call after that (queue.pxi)
    cdef uint64_t queued_since          # if there are queues: since when it waits for its application, monotonic ms
    cdef bint left                      # the client has closed its half, or is gone
    cdef bint disconnect_due            # http.disconnect is due: the client has left or the worker stops
    cdef bint lost                      # nothing can be sent any more
    cdef bint body_ended                # the whole request body has arrived
    cdef bint wants_continue            # Expect: 100-continue, not answered yet
    cdef size_t held                    # received bytes that the application has not taken; too many pause reading
    cdef uint64_t charged               # their cost in the driver's memory
    cdef int broken                     # the application's error that broke the response, or 0

    # connection -> exchange
    cdef raises begin(self, fs_request_head *head) except -1
    cdef raises start(self) except -1
    cdef raises on_body(self, const char *p, size_t n, bint end) except -1
    cdef char *body_room(self, size_t wanted, size_t *given) except NULL
    cdef raises body_filled(self, size_t n, bint end) except -1
    cdef raises on_end(self) except -1
    cdef raises on_disconnect(self) except -1
    cdef raises on_lost(self) except -1
    cdef raises on_writable(self) except -1
    cdef raises on_refused(self) except -1
    cdef raises on_overdue(self) except -1
    cdef bint calls(self) noexcept
    cdef raises admitted(self) except -1
    cdef bint wants_body(self) noexcept
    cdef uint64_t due(self) noexcept
    cdef bint awaits_peer(self) noexcept
    cdef raises await_client(self) except -1
    cdef raises client_came(self) except -1
    cdef uint64_t application_due(self) noexcept
    cdef str lateness(self)
    # connection -> exchange, in a tunnel
    cdef raises on_data(self, char *p, size_t n) except -1
    cdef raises on_data_end(self) except -1
    cdef bint wants_data(self) noexcept
    # driver -> exchange
    cdef raises on_drain(self) except -1
    cdef raises on_stop(self) except -1
    cdef raises detach(self) except -1
    cdef uint64_t sent(self) noexcept
    cdef uint64_t reached(self) noexcept
    cdef raises log(self, int status) except -1
    cdef raises log_departure(self, int error) except -1
    cdef bint is_tunnel(self) noexcept
    cdef raises fail(self, int error) except -1
