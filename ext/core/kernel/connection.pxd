# Why a connection has a deadline: one reason at a time, since the machine waits for one thing.
cdef enum Phase:
    PHASE_NONE              # the application works: the connection has no deadline
    PHASE_TLS               # the handshake
    PHASE_FIRST_BYTE
    PHASE_HEAD
    PHASE_STREAMS           # HTTP/2: the earliest deadline of its streams
    PHASE_KEEP_ALIVE
    PHASE_BODY
    PHASE_APPLICATION       # the exchange's own deadline, if it has one: the application is late, a ping is due
    PHASE_WRITE
    PHASE_LINGER
    PHASE_DRAIN             # idle while the worker stops


cdef enum ConnectionFlag:
    CONN_READABLE = 1 << 0      # the socket may hold bytes that were not received yet
    CONN_PEER_CLOSED = 1 << 1   # epoll reported the peer's FIN; recv will see it
    CONN_EOF = 1 << 2           # recv has seen it
    CONN_IN_TURN = 1 << 3       # its turn is on the stack: nothing may free it, output leaves at the end
    CONN_SCHEDULED = 1 << 4     # it is in Driver.scheduled
    CONN_LINGERING = 1 << 5     # FIN sent; whatever still comes is discarded
    CONN_MORE = 1 << 6          # the turn's share of requests is used up; the rest waits for the next turn
    CONN_FLUSHING = 1 << 7      # its out-queue is being sent: a `send` called from a release must not send too
    CONN_STALLED = 1 << 8       # answers above the high-water mark: the next request waits
    CONN_DEFERRED = 1 << 9      # it is in Driver.deferred
    CONN_CONFIRMING = 1 << 10   # FIN went both ways: it waits until the kernel knows whether the last answer came


# Lays fs_sink over an out-queue: `base` comes first, so that an fs_sink* is a QueueSink*.
ctypedef struct QueueSink:
    fs_sink base
    fs_outqueue *queue


cdef class Connection:
    cdef Driver driver
    cdef Listener listener
    cdef Session session                # the protocol that it speaks; never None
    cdef tuple client                   # made with the first request
    cdef tuple server
    cdef TLSFilter tls                  # None: plain
    cdef bint undecided                 # no byte has shown yet which protocol it speaks (opening.pxi)
    cdef bytes opening                  # the first bytes, as long as they may be HTTP/2's preface
    cdef bint redirects                 # a plain address beside one with TLS: requests are answered 308
    cdef bint trusted, trust_known      # whether the peer is a trusted proxy; whether that was asked yet
    cdef bint proxied                   # a PROXY protocol header is due before anything else (peer.pxi)
    cdef dict tls_scope                 # what the interface says of its TLS, made with the first request
    cdef object memo                    # what the interface remembers of the connection
    cdef bytes proxy_part               # the part of a PROXY protocol header that has come
    cdef int fd                         # owned; -1 once closed
    cdef uint32_t slot
    cdef uint32_t flags                 # CONN_*
    cdef Phase phase
    cdef uint32_t answered              # requests, or messages of a WebSocket, in this turn
    cdef uint32_t pulls                 # receives in this turn within the application's own steps
    cdef uint64_t deadline              # monotonic ms, 0: none
    cdef uint64_t since                 # monotonic ms: when the wait that `phase` names began
    cdef uint64_t stalled               # Driver.stalled at that time
    cdef uint32_t grace                 # ms by which the deadline has moved, because the worker stood still
    cdef uint64_t opened                # monotonic ms
    cdef uint64_t free_since            # if there are queues: when its last answer ended (HTTP/1), monotonic ms
    cdef uint64_t read_progress         # monotonic ms
    cdef uint64_t write_progress
    cdef uint64_t looked_at             # when the kernel was last asked what the peer has acknowledged
    cdef Receipt receipts               # of answers that are on their way, the oldest first; None: there are none
    cdef Receipt last_receipt           # the newest
    cdef int error                      # that it was lost by, 0
    cdef uint64_t sent                  # bytes that our kernel has taken
    cdef uint64_t acknowledged          # bytes that the peer's kernel has acknowledged
    cdef fs_timer timer                 # may be armed earlier than `deadline`: then it is armed again
    cdef fs_address peer
    cdef fs_outqueue queue
    cdef QueueSink sink

    # driver -> connection
    cdef raises ready(self, uint32_t events) except -1
    cdef raises turn(self) except -1
    cdef raises drain(self) except -1
    cdef raises lose(self, int error) except -1
    cdef raises close(self, bint reset) except -1
    cdef raises abandon(self) except -1
    cdef raises forget(self) except -1
    # the steps of a turn
    cdef bint wants_bytes(self) noexcept
    cdef bint receive_bytes(self)
    cdef bint receive_failed(self, ssize_t n)
    cdef void note_received(self, ssize_t n, size_t room) noexcept
    cdef void look_again(self) noexcept
    cdef raises feed(self, char *p, size_t n) except -1
    cdef raises speak(self, Session session) except -1
    cdef bint keep(self) except -1
    cdef raises peer_closed(self) except -1
    cdef raises flush(self) except -1
    cdef int flush_socket(self, uint64_t *sent) except? -1
    cdef raises end_turn(self) except -1
    cdef raises settle(self) except -1
    cdef raises finish(self) except -1
    cdef raises confirm_or_close(self) except -1
    cdef raises linger(self) except -1
    cdef raises broken(self, object failure) except -1
    # for whoever goes on with its turn
    cdef void hold(self) noexcept
    cdef void unhold(self) noexcept
    # session -> connection
    cdef raises open_exchange(self, fs_event *event) except -1
    cdef raises refuse(self, int error) except -1
    cdef bint is_full(self)
    cdef raises wait_for_room(self) except -1
    cdef raises rest(self) except -1
    # exchange -> connection
    cdef bint must_wait(self, Exchange exchange)
    cdef raises written(self) except -1
    cdef bint pull(self, Exchange exchange)
    cdef raises want_body(self, Exchange exchange) except -1
    cdef raises body_awaited(self, Exchange exchange) except -1
    cdef raises response_ended(self, Exchange exchange) except -1
    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1
    cdef fs_sink *open_tunnel(self, Exchange exchange, const fs_field *fields, uint32_t n) except NULL
    cdef list exchanges(self)
    cdef uint64_t unsent_of(self, Exchange exchange) noexcept
