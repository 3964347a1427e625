# Every object layout of fastserve._core on one page, with the methods that other files of the module call. A file
# of the module is one idea: driver.pxi, connection.pxi, exchange.pxi, asgi.pxi, wsgi.pxi, ...; _core.pyx includes them.
#
# Ownership: Driver -> (slots) -> Connection -> (exchange) -> Exchange is a chain of strong references. The way
# back is `Exchange.connection`, cut when either ends. What outlives its owner (an application that keeps `send`)
# holds an Exchange whose connection is None: it raises or ignores, and never reaches freed memory.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.ref cimport PyObject

from net cimport (FS_POLL_BATCH, fs_address, fs_handover, fs_log_file, fs_outpool, fs_outqueue, fs_poller, fs_ready, fs_relay, fs_timer, fs_wheel)
from proto cimport (fs_budget, fs_event, fs_field, fs_h1, fs_h1_shared, fs_head_common, fs_limits, fs_proxy_header, fs_request_head, fs_sink,
                    fs_body_queue, fs_h2, fs_h2_shared, fs_h2_stream, fs_slice, fs_stream, fs_ws, fs_ws_deflate_params, fs_ws_event,
                    fs_ws_shared)
from fastserve._task cimport InlineRunner, Task


# Why a connection has a deadline. One at a time: the machine waits for one thing.
cdef enum Phase:
    PHASE_NONE              # the application works: no deadline of the connection's
    PHASE_TLS               # the handshake
    PHASE_FIRST_BYTE
    PHASE_HEAD
    PHASE_STREAMS           # HTTP/2: the first of what its streams wait for
    PHASE_KEEP_ALIVE
    PHASE_BODY
    PHASE_APPLICATION       # the exchange's own deadline, where it has one: the application is late, a ping is due
    PHASE_WRITE
    PHASE_LINGER
    PHASE_DRAIN             # idle while the worker stops


cdef enum ConnectionFlag:
    CONN_READABLE = 1       # the socket may hold bytes that were not asked for yet
    CONN_PEER_CLOSED = 2    # epoll reported the peer's FIN; recv will see it
    CONN_EOF = 4            # recv has seen it
    CONN_IN_TURN = 8        # its turn is on the stack: nothing may free it, output leaves at the end
    CONN_SCHEDULED = 16     # stands in Driver.scheduled
    CONN_LINGERING = 32     # FIN sent, whatever still comes is thrown away
    CONN_TRUSTED = 64       # the peer is a trusted proxy
    CONN_TRUST_KNOWN = 128
    CONN_FLUSHING = 512     # its out-queue is being sent: `send` called from a release must not send too
    CONN_STALLED = 1024     # answers above the high-water mark: the next request waits
    CONN_DEFERRED = 2048    # stands in Driver.deferred
    CONN_MORE = 256         # the turn's share of requests is used up; the rest waits for the next turn


# Lays fs_sink over an out-queue: `base` comes first, so that an fs_sink* is a QueueSink*.
ctypedef struct QueueSink:
    fs_sink base
    fs_outqueue *queue


# Lays fs_body_queue over an out-queue of a stream's own: `base` comes first here as well.
ctypedef struct StreamQueue:
    fs_body_queue base
    fs_outqueue queue


# One place in the driver's table of descriptors. epoll carries (generation, index) instead of a pointer, so that
# an event for a descriptor that a forked child keeps alive can never reach a freed object.
ctypedef struct Slot:
    PyObject *owner         # strong: a Connection, a Listener or a Watch; NULL when free
    uint32_t generation
    uint32_t next_free


cdef enum:
    DEFER_MAX = 16          # turns whose answers are sent together


# Places of a scope's keys: the order in which they stand in the dict.
cdef enum ScopeKey:
    SCOPE_TYPE
    SCOPE_ASGI
    SCOPE_HTTP_VERSION
    SCOPE_SERVER
    SCOPE_CLIENT
    SCOPE_SCHEME
    SCOPE_METHOD
    SCOPE_ROOT_PATH
    SCOPE_PATH
    SCOPE_RAW_PATH
    SCOPE_QUERY_STRING
    SCOPE_HEADERS
    SCOPE_EXTENSIONS
    SCOPE_SIZE
    # "state" follows where there is one


# What an event of the application holds, borrowed; NULL where the key is missing.
ctypedef struct EventView:
    PyObject *type
    PyObject *status
    PyObject *headers
    PyObject *trailers
    PyObject *body
    PyObject *more_body


cdef extern from "status.h":
    enum:
        FS_STATUS_COUNT
        FS_STATUS_ALL_ROWS
    const char *fs_status_names[]

    ctypedef struct fs_status_row:
        pass

    ctypedef struct fs_status:
        uint64_t heartbeat
        uint64_t turns
        uint64_t connections_total
        uint64_t connections
        uint64_t requests_total
        uint64_t in_flight
        uint64_t running
        uint64_t buffered
        uint64_t body_files
        uint64_t no_room
        uint64_t never_fits
        uint64_t threads_overdue_since
        uint64_t queued
        uint64_t queued_since
        uint64_t queue_timeouts
        uint64_t bytes_in
        uint64_t bytes_out
        uint64_t overloaded
        uint64_t accept_errors
        uint64_t access_log_dropped
        uint64_t peer_errors
        uint64_t application_errors
        uint64_t websockets_total
        uint64_t websockets
        uint64_t websocket_messages_in
        uint64_t websocket_messages_out
        uint64_t websocket_bytes_in
        uint64_t websocket_bytes_out
        uint64_t tls_handshakes
        uint64_t http2_connections
        uint64_t http2_resets
        uint64_t mailbox
        uint64_t handed_over
        uint64_t taken_over

    void fs_status_init(fs_status *status)
    void fs_status_count_response(fs_status *status, int code)
    void fs_status_count_close(fs_status *status, int code)
    void fs_status_count_durations(fs_status *status, uint64_t us, uint64_t n)
    fs_status_row *fs_status_begin_row(fs_status *status, uint64_t *free_rows, uint64_t now_ms, fs_slice method,
                                       fs_slice target)
    void fs_status_end_row(fs_status *status, uint64_t *free_rows, fs_status_row *row)


cdef class FieldCache:
    cdef PyObject *entries[1024]        # strong (name, value) tuples; direct-mapped
    cdef tuple known(self, const fs_field *field)


cdef class TargetCache:
    cdef PyObject *entries[256]         # strong Target objects; direct-mapped
    cdef str script_name                # WSGI: what is taken off the front of a path; None: ASGI
    cdef Target find(self, const fs_request_head *head)
    cdef Target make(self, const fs_request_head *head)


cdef class Target:
    cdef bytes key                      # the target as sent
    cdef str path                       # decoded: from UTF-8 for ASGI, bytes seen through Latin-1 for WSGI
    cdef bytes raw_path
    cdef bytes query
    cdef str uri                        # WSGI: key and query as native strings (PEP 3333); None for ASGI
    cdef str query_string


cdef class ScopeBuilder:
    cdef str root_path
    cdef bint underscores               # fields whose names have an underscore are passed on
    cdef object state                   # None or lifespan's state, copied for each request
    cdef FieldCache fields
    cdef TargetCache targets
    cdef dict prototype
    cdef PyObject *given[SCOPE_SIZE]    # what stands in the prototype, in the order of SCOPE_KEYS
    cdef dict asgi_template
    cdef dict asgi_with_body
    cdef dict asgi                      # of the last scope
    cdef tuple asgi_items               # its keys and values in turn, as they were given out
    cdef dict extensions                # of the last scope
    cdef tuple extensions_items
    cdef tuple extension_names          # that it was made of, one of the next three
    cdef tuple extensions_1_1
    cdef tuple extensions_trailers
    cdef tuple extensions_1_0
    cdef Target target                  # of the last scope
    cdef object method                  # likewise
    cdef dict build(self, fs_request_head *head, Connection connection)
    cdef list headers(self, fs_request_head *head)
    cdef list headers_without_underscores(self, fs_request_head *head)
    cdef int place(self, int key, PyObject *value) except -1
    cdef int choose_extensions(self, fs_request_head *head) except -1


# Places of the keys of an environ whose values change from request to request, beside those of the fields.
cdef enum EnvironKey:
    ENV_METHOD
    ENV_PATH_INFO
    ENV_QUERY_STRING
    ENV_REQUEST_URI
    ENV_RAW_URI
    ENV_PROTOCOL
    ENV_SERVER_NAME
    ENV_SERVER_PORT
    ENV_REMOTE_ADDR
    ENV_REMOTE_PORT
    ENV_EARLY_HINTS                     # this and what follows are handles
    ENV_CLIENT_DISCONNECTED
    ENV_WAITRESS_DISCONNECTED           # the same by waitress's name
    ENV_SIZE


# One field of a request as environ has it, shared by all requests of a worker: nothing in it changes.
cdef class EnvironField:
    cdef bytes name                     # as received, lower-case
    cdef str key
    cdef str value


cdef class EnvironFields:
    cdef PyObject *entries[1024]        # strong EnvironFields; direct-mapped
    cdef PyObject *keys[256]            # strong (name, key) tuples of unknown names; direct-mapped
    cdef str key_of(self, const fs_field *field)
    cdef EnvironField make(self, const fs_field *field)
    cdef EnvironField known(self, const fs_field *field)


# An environ for requests that have the same fields in the same order: the values are those of the last one.
cdef class EnvironShape:
    cdef dict environ
    cdef list fields                    # EnvironField objects, None for those that are not passed on or not kept
    cdef list keys                      # their keys, None for those that are not passed on
    cdef bint joined                    # a key comes twice: made anew each time
    cdef uint64_t hash
    cdef PyObject *given[ENV_SIZE]      # borrowed: environ owns them


cdef class EnvironBuilder:
    cdef dict base                      # what is the same in every environ of this worker
    cdef EnvironFields fields
    cdef TargetCache targets
    cdef bint underscores               # names with an underscore are passed on
    cdef list shapes                    # EnvironShape or None; direct-mapped by hash
    cdef tuple peers                    # of the last new connection
    cdef Target target                  # of the last environ
    cdef str method                     # likewise
    cdef dict build(self, const fs_request_head *head, Connection connection, WSGIExchange exchange)
    cdef int forget(self, Handle handle) except -1
    cdef int clear(self) except -1
    cdef EnvironShape shape_for(self, const fs_request_head *head)
    cdef EnvironShape new_shape(self, const fs_request_head *head, uint64_t hash)
    cdef bint fit(self, EnvironShape shape, const fs_request_head *head) except -1
    cdef bint passes(self, const fs_field *field) noexcept
    cdef int add_secrets(self, dict environ, EnvironShape shape, const fs_request_head *head) except -1


cdef class AccessLog:
    cdef int fd                         # -1: off; not owned
    cdef char *buffer
    cdef size_t used
    cdef uint64_t oldest                # monotonic ms of the first line that waits, 0 when none does
    cdef int64_t second                 # that `date` stands for
    cdef char date[48]
    cdef size_t date_len
    cdef fs_log_file file               # how `fd` is written to
    cdef bint losing                    # lines could not be written, and that was said
    cdef uint64_t retry_at              # monotonic ms: before this a reader that has stalled is left alone; 0 while none has
    cdef Py_ssize_t missed              # lines that were lost since then
    cdef fs_status *status              # the driver's
    cdef object logger
    cdef void set_time(self, int64_t second) noexcept
    cdef void line(self, object client, object method, object raw_path, object query, int version, int status,
                   uint64_t size, uint64_t microseconds, uint64_t now) noexcept
    cdef void flush(self) noexcept
    cdef void forget(self) noexcept
    cdef bint make_room(self, uint64_t now) noexcept
    cdef void finish(self) noexcept
    cdef void lost(self, int error) noexcept


# Which protocols a listener's connections may speak.
cdef enum HTTPVersions:
    HTTP_ANY
    HTTP_1_ONLY
    HTTP_2_ONLY


# One protocol on one connection: session.pxi says what each verb does.
cdef class Session:
    cdef Driver driver
    cdef Connection connection
    cdef bint wants_bytes(self) noexcept
    cdef uint64_t body_wanted(self) noexcept
    cdef bint receive_direct(self) except -1
    cdef int feed(self, char *p, size_t n) noexcept
    cdef int settle(self) noexcept
    cdef int not_kept(self, int error) except -1
    cdef int events(self) except -1
    cdef int on_eof(self) except -1
    cdef int attach(self, Exchange exchange, fs_event *event) except -1
    cdef list exchanges(self)
    cdef bint awaits_step(self) noexcept
    cdef int refuse(self, int error) except -1
    cdef int refuse_exchange(self, Exchange exchange, int error) except -1
    cdef int response_ended(self, Exchange exchange) except -1
    cdef int lose_all(self) except -1
    cdef bint reads_for(self, Exchange exchange) noexcept
    cdef bint has_input(self) noexcept
    cdef int body_awaited(self, Exchange exchange) except -1
    cdef int tunnel_opened(self) except -1
    cdef bint is_full(self, Exchange exchange) except -1
    cdef uint64_t unsent(self, Exchange exchange) noexcept
    cdef bint room_is_read(self) noexcept
    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1
    cdef int pump(self) except -1
    cdef int note_room(self) except -1
    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept
    cdef bint awaits_peer(self) noexcept
    cdef int expired(self, uint64_t now) except -1
    cdef int drain(self) except -1
    cdef bint is_finished(self) except -1
    cdef bint is_complete(self) noexcept
    cdef bint must_reset(self) noexcept
    cdef bint must_linger(self) noexcept


cdef class H1Session(Session):
    cdef Exchange exchange              # the request that is being read or answered
    cdef bint tunnel                    # it has upgraded the stream and takes bytes in place of events
    cdef uint64_t head_number           # h1.requests when the wait for a head or for a request began
    cdef fs_h1 h1
    cdef bint must_pause(self) except -1
    cdef int take_tunnel(self) except -1
    cdef int release(self, Exchange exchange) except -1
    cdef Phase waits_for_exchange(self, uint64_t *since, uint64_t *deadline) noexcept
    cdef uint64_t request_since(self, Phase phase) noexcept


cdef class H2Session(Session):
    cdef Exchange unstarted             # of the newest stream, whose application has not been called yet
    cdef fs_h2 h2
    cdef uint32_t full                  # streams whose exchange waits for room
    cdef uint64_t pong_by               # monotonic ms; while h2.pinged
    cdef bint failure_counted
    cdef int start(self) except -1
    cdef int take(self, fs_event *event) except -1
    cdef int take_data(self, Exchange exchange, fs_slice *data) except -1
    cdef int after_data(self, Exchange exchange) except -1
    cdef int read_on(self) except -1
    cdef int forget(self, Exchange exchange) except -1
    cdef int gone(self, Exchange exchange, int error) except -1
    cdef int refuse_stream(self, fs_h2_stream *stream, int error) except -1
    cdef int give_up_blocked(self) except -1
    cdef uint64_t due(self) noexcept
    cdef uint64_t stream_due(self, fs_h2_stream *stream) noexcept
    cdef int late(self, fs_h2_stream *stream, uint64_t now) except -1


cdef enum TLSState:
    TLS_HANDSHAKE
    TLS_OPEN
    TLS_CLOSED              # our close_notify has gone


cdef class TLSFilter:
    cdef object settings                # fastserve.tls.TLS
    cdef object ssl                     # ssl.SSLObject
    cdef object incoming, outgoing      # ssl.MemoryBIO
    cdef fs_outqueue wire               # ciphertext that waits to be sent
    cdef TLSState state
    cdef bint fresh                     # not a byte has come yet
    cdef bint ended                     # the peer's close_notify has come
    cdef int shake(self, object logger) except -1
    cdef object not_raised(self, object unraisable, object logger)
    cdef Py_ssize_t decrypt(self, char *place, size_t room, object view) except -1
    cdef int encrypt(self, fs_outqueue *queue) except? -1
    cdef Py_ssize_t encrypt_runs(self, fs_outqueue *queue) except -1
    cdef int collect(self) except -1
    cdef int say_goodbye(self) except -1


cdef class Listener:
    cdef int fd                         # not owned; -1 once it is no longer watched
    cdef bint shared
    cdef bint mailbox                   # no listener, but where siblings put connections that they have accepted
    cdef uint64_t name                  # the same for this address in every worker; 0: what it accepts is not handed over
    cdef object tls                     # fastserve.tls.TLS, or None: its connections are plain
    cdef int redirect                   # the https port that a plain one redirects to, 0
    cdef uint32_t slot
    cdef tuple server                   # (host, port) or (path, None); None where each connection has its own


cdef class Sibling:
    cdef object number                  # by which it is forgotten
    cdef int fd                         # owned: leads to its mailbox
    cdef Py_buffer *memory              # owned: where its status lies; hidden from the garbage collector like the driver's own
    cdef const fs_status *status
    cdef uint64_t turns                 # of it, when it was last given a connection
    cdef uint64_t taken                 # what it had taken over when it was last looked at
    cdef uint64_t given                 # connections that it may not have taken yet
    cdef uint64_t on_their_way(self) noexcept
    cdef void give(self) noexcept
    cdef int close(self) except -1


cdef class Watch:
    cdef int fd                         # not owned; -1 once it is no longer watched
    cdef uint32_t slot
    cdef bint due                       # stands in Driver.told
    cdef object callback


# How an application is called, and what drives the driver: an event loop, or threads.
cdef class Interface:
    cdef Driver driver                  # None before it has one, and once that is closed
    cdef Exchange open(self, const fs_request_head *head)   # for the next request
    cdef int attach(self, Driver driver) except -1
    cdef int detach(self) except -1
    cdef bint takes_websockets(self) noexcept
    cdef int refusal(self, const fs_request_head *head) noexcept    # why there is no room for its body, FS_OK: there is
    cdef int wake(self) except -1       # a turn was scheduled
    cdef int clear(self) except -1      # drops what is kept for the next request
    cdef int forget(self) except -1     # in a forked child, as Driver.forget_after_fork
    cdef int beat(self) except -1       # as often as the worker shows that it is alive
    cdef Py_ssize_t busy(self) noexcept # calls of the application that have not ended
    cdef Py_ssize_t cancel(self) except -1


cdef class ASGI(Interface):
    cdef object application
    cdef object loop
    cdef InlineRunner runner
    cdef ScopeBuilder scopes
    cdef set working                    # strong: exchanges whose application had suspended (asyncio holds tasks weakly)
    cdef object start_type              # the application's own "http.response.start" and "http.response.body", which
    cdef object body_type               # are the same objects each time: compared by address first
    cdef object message_type            # likewise its "websocket.send"
    cdef unsigned loop_version          # of the loop's class when it was looked at last
    cdef bint nests                     # and whether the application may run it within itself
    cdef frozenset offered              # extensions, by the names that scopes have for them
    cdef bint websocket                 # an upgrade to WebSocket is taken up
    cdef bint deflate                   # permessage-deflate may be agreed upon
    cdef set warned                     # subprotocols that no client had offered, each said once
    cdef fs_ws_shared ws_shared
    cdef HTTPExchange spare             # an exchange with its send and receive that left no trace: used again
    cdef int warn_of_subprotocol(self, str name, str path) except -1
    cdef bint may_nest(self) except -1
    cdef int look_at_loop(self) except -1
    cdef int run_by_the_loop(self, ASGIExchange exchange) except -1
    cdef int run(self, ASGIExchange exchange) except -1
    cdef int give(self, ASGIExchange exchange) except -1


cdef class WSGI(Interface):
    cdef object application
    cdef EnvironBuilder environs
    cdef Threads threads
    cdef WSGIExchange spare             # exchanges that left no trace, a chain of them
    cdef unsigned spares                # its length
    cdef set left_out                   # names of headers that the application set and that are not sent, once said
    cdef int leave_out(self, tuple pair, uint32_t id) except -1
    cdef int give(self, WSGIExchange exchange) except -1
    cdef WSGIExchange take(self)


# The threads of a worker without an event loop.
cdef class Threads:
    cdef Driver driver                  # None until it serves
    cdef fs_relay relay
    cdef bint relay_made
    cdef unsigned most                  # calls of the application at the same time
    cdef bint watched                   # another thread can take over from a call that lasts
    cdef bint halted
    cdef bint short                     # the last thread could not be started, and that was said
    cdef unsigned count                 # threads alive
    cdef int number                     # of the newest one
    cdef unsigned running               # calls of the application at this moment
    cdef bint timed                     # there is a deadline by which a thread may be overdue
    cdef list inside                    # then: the exchanges of those calls
    cdef uint32_t slow                  # share of slow steps lately, SLOW_ONE when all were
    cdef uint64_t last_step             # monotonic us at which the last step of this batch began, 0 for none
    cdef WSGIExchange first, last       # those that wait for a step
    cdef WSGIExchange later             # those that have had their share of this round, the newest first
    cdef list calls                     # what `call_soon` was given
    cdef bint ended                     # a worker with several threads has come to its end
    cdef int home_read, home_write      # a pipe that wakes the thread which waits for that; -1 where none does
    cdef fs_ready batch[FS_POLL_BATCH]
    cdef int at, n                      # in the batch
    cdef void enter(self) noexcept
    cdef void leave(self) noexcept
    cdef int forget(self) except -1
    cdef bint leads(self, int me) noexcept
    cdef bint defers(self, int me) noexcept
    cdef int push(self, WSGIExchange exchange) except -1
    cdef int append(self, WSGIExchange exchange) except -1
    cdef WSGIExchange pop(self)
    cdef int postpone(self, WSGIExchange exchange) except -1
    cdef int recall(self) except -1
    cdef int life(self, int me) except -1
    cdef int lead(self, int me) except -1
    cdef int step(self, int me) except -1
    cdef int note_overdue(self) except -1
    cdef int show_queue(self) except -1
    cdef int come_round(self) except -1
    cdef int wait(self, int timeout_ms) except -1
    cdef int spell(self, int me) except -1
    cdef bint has_follower(self) except -1
    cdef bint hand_over(self) except -1
    cdef bint is_driven(self, int me) except -1
    cdef bint new_thread(self) except -1
    cdef int make_calls(self) except -1
    cdef int open_home(self) except -1
    cdef int wait_at_home(self) except -1
    cdef int check_ended(self) except -1
    cdef void learn(self, bint slow) noexcept


cdef class Driver:
    cdef object __weakref__             # for the ledger
    cdef Interface interface
    cdef object logger
    cdef object forwarding              # None or a Forwarding
    cdef object proxy_protocol          # None, or says of a peer's host whether its connections begin with a header
    cdef bytes server_line
    cdef bytes extra_lines
    cdef AccessLog access_log
    cdef list scheduled                 # connections that want a turn outside of poll
    cdef PyObject *deferred[DEFER_MAX]  # strong: connections whose turn has still to end
    cdef uint32_t deferred_count
    cdef list dead                      # closed in this batch; freed when it ends
    cdef list told                      # watches whose callback is due when this batch has ended
    cdef bint sweep_scheduled
    cdef bint turning                   # poll() or sweep() is on the stack: neither is entered again, nothing is buried
    cdef bint idle_stack                # in poll() or sweep(), and no application's code below us on the stack
    cdef bint buffer_held               # a turn is on the stack, whose unparsed bytes may lie in `buffer`
    cdef bint polling                   # a batch is being worked on, and this thread's turns may end later in it
    cdef bint closed
    cdef bint forgotten                 # this is a child that the application has forked: the driver is the parent's
    cdef bint copied                    # the application has forked: others may have the connections' descriptors too
    cdef object idle_callback
    cdef object alarm_callback
    cdef fs_limits limits
    cdef fs_budget memory               # what is held for clients: their bodies, messages and unread bytes
    cdef fs_budget files                # and bodies in files
    cdef uint64_t room_said             # monotonic ms at which the log was told last that there is no room, 0: never
    cdef fs_head_common head_common
    cdef fs_h1_shared h1_shared
    cdef fs_h2_shared h2_shared
    cdef HTTPVersions http
    cdef fs_outpool pool
    cdef fs_poller poller
    cdef fs_wheel wheel
    cdef char *buffer                   # receives for every connection
    cdef size_t buffer_size
    cdef Slot *slots
    cdef uint32_t slot_count
    cdef uint32_t slot_free             # head of the free list, slot_count when empty
    cdef uint64_t now                   # monotonic ms, read once a batch
    cdef uint64_t now_us                # the same moment
    cdef uint64_t looked_us             # when the clock was last looked at
    cdef uint64_t stalled               # ms in all in which it stood still: the application blocked it, or the process did not run
    cdef uint32_t handshakes            # steps of TLS handshakes in this batch
    cdef object view                    # a memoryview over `buffer`
    cdef uint32_t ended_now             # answers to requests of this moment, whose duration has still to be counted
    cdef uint64_t drain_until           # monotonic ms until which an idle connection may bring one more request
    cdef bint gave_up                   # requests in flight have been told, or cancelled: what they leave undone is 503
    cdef uint64_t spread_until          # and until which WebSockets are closed, each at its moment
    cdef uint32_t live                  # connections
    cdef uint32_t in_flight             # requests whose client waits
    cdef uint32_t running               # and with those whose application goes on without it: max_concurrency counts these
    cdef bint queues                    # requests may wait for a place, or only so long for their application (queue.pxi)
    cdef object queue                   # an OrderedDict of the exchanges that wait for a place, the oldest first
    cdef uint32_t queue_length
    cdef list admitted                  # those that have been given one, and are called when the driver comes round
    cdef uint64_t queue_said            # monotonic ms at which the log was told last that some wait too long, 0: never
    cdef fs_status *status              # the counters
    # Whose memory that is; NULL: ours. A pointer, because the garbage collector must not see it: it clears a memoryview
    # that it finds in a cycle with us, though we count there until the end.
    cdef Py_buffer *status_buffer
    cdef uint64_t free_rows             # of its table of requests
    cdef uint64_t errors[512]           # by -code
    cdef list siblings                  # those that connections may be handed over to
    cdef dict by_name                   # listeners, as siblings call them
    cdef uint32_t short_lived           # connections that have ended soon, since the last accept
    cdef uint32_t short_lives           # and how many of them have ended from one accept to the next, at most, lately; in sixteenths
    cdef uint32_t passing               # so many connections are expected to go by themselves, soon
    cdef uint64_t handover_number       # of the last one; its upper half is this process's ID
    cdef uint64_t accept_paused_until   # no descriptors left: monotonic ms, 0 when not paused
    cdef fs_timer accept_timer
    cdef fs_timer log_timer
    cdef fs_timer alarm_timer
    cdef fs_timer beat_timer
    cdef fs_timer repeat_timer
    cdef uint64_t repeat_ms             # from one call of `repeat`'s callback to the next
    cdef object repeat_callback
    cdef bint repeat_due
    cdef uint64_t beat_ms               # from one beat to the next

    cdef list owners(self, object kind)
    cdef list listeners(self)
    cdef list connections_(self)
    cdef int pause_accepting(self, int error) except -1
    cdef int resume_accepting(self) except -1
    cdef int forget_listener(self, Listener listener) except -1
    cdef int take(self, const fs_ready *ready) except -1
    cdef int take_slot(self, object owner) except -1
    cdef void free_slot(self, uint32_t index) noexcept
    cdef void *token(self, uint32_t index) noexcept
    cdef int open_status(self, object memory) except -1
    cdef void clock(self) noexcept
    cdef void look(self, uint64_t due) noexcept
    cdef void note_stall(self) noexcept
    cdef int take_all(self, const fs_ready *ready, int n) except -1
    cdef Listener listener_of(self, int fd)
    cdef int accept_rest(self, list listeners, bint last) except -1
    cdef int accept_from(self, Listener listener, int most) except -1
    cdef int accept_handed(self, Listener mailbox, int most) except -1
    cdef bint hand_over(self, int fd, const fs_address *peer, Listener listener) except -1
    cdef int forget_sibling(self, Sibling sibling) except -1
    cdef int forget_siblings(self) except -1
    cdef void note_short_lives(self) noexcept
    cdef int shut_mailbox(self, Listener mailbox) except -1
    cdef int open_handed(self, int fd, const fs_handover *handover) except -1
    cdef int watch_listener(self, Listener listener) except 1
    cdef int forget_watch(self, Watch watch) except -1
    cdef void forget_status(self) noexcept
    cdef int tell_watches(self) except -1
    cdef int open_connection(self, int fd, fs_address *peer, Listener listener) except -1
    cdef int schedule(self, Connection connection) except -1
    cdef int schedule_sweep(self) except -1
    cdef int take_scheduled(self) except -1
    cdef int finish_batch(self) except -1
    cdef void show_held(self) noexcept
    cdef int check_held(self) except -1
    cdef int bury(self) except -1
    cdef int defer(self, Connection connection) except -1
    cdef int send_deferred(self) except -1
    cdef int expire(self) except -1
    cdef void count_error(self, int error) noexcept
    cdef void say_no_room(self, int error) noexcept
    cdef void count_durations(self, uint64_t us) noexcept
    cdef int check_idle(self) except -1
    cdef int set_timer(self) except -1


cdef class Connection:
    cdef Driver driver
    cdef Listener listener
    cdef Session session                # never None: the protocol that it speaks
    cdef tuple client                   # made with the first request
    cdef tuple server
    cdef TLSFilter tls                  # None: plain
    cdef bint undecided                 # not a byte has said yet which protocol it speaks (opening.pxi)
    cdef bytes opening                  # the first bytes, as long as they may be HTTP/2's preface
    cdef bint redirects                 # a plain address beside one with TLS: requests are answered 308
    cdef bint proxied                   # a PROXY protocol header is due before anything else (proxy_peer.pxi)
    cdef dict tls_scope                 # what the interface says of it, made with the first request
    cdef object memo                    # what the interface wants to know of the connection again
    cdef bytes proxy_part               # of a PROXY protocol header, as far as it has come
    cdef int fd                         # owned; -1 once closed
    cdef uint32_t slot
    cdef uint32_t flags                 # CONN_*
    cdef Phase phase
    cdef uint32_t answered              # requests, or messages of a WebSocket, of this turn
    cdef uint32_t pulls                 # receives of this turn in the application's own steps
    cdef uint64_t deadline              # monotonic ms, 0: none
    cdef uint64_t since                 # monotonic ms: when the wait began that `phase` names
    cdef uint64_t stalled               # Driver.stalled at that time
    cdef uint32_t grace                 # ms by which the deadline has moved, because the worker stood still meanwhile
    cdef uint64_t opened                # monotonic ms
    cdef uint64_t free_since            # where there are queues: when its last answer ended (HTTP/1), monotonic ms
    cdef uint64_t read_progress         # monotonic ms
    cdef uint64_t write_progress
    cdef uint64_t looked_at             # when it was last asked what the peer has acknowledged
    cdef uint64_t sent                  # bytes that the kernel has taken,
    cdef uint64_t acknowledged          # and of them those that the peer's has
    cdef fs_timer timer                 # may be armed earlier than `deadline`: it is then armed again
    cdef fs_address peer
    cdef fs_outqueue queue
    cdef QueueSink sink

    # driver -> connection
    cdef int ready(self, uint32_t events) except -1
    cdef int turn(self) except -1
    cdef int expired(self) except -1
    cdef int drain(self) except -1
    cdef int lost(self, int error) except -1
    cdef int close(self, bint reset) except -1
    cdef int forget(self) except -1
    # the steps of a turn
    cdef bint wants_bytes(self) noexcept
    cdef bint receive_bytes(self)
    cdef bint receive_failed(self, ssize_t n)
    cdef void note_received(self, ssize_t n, size_t room) noexcept
    cdef void look_again(self) noexcept
    cdef int feed(self, char *p, size_t n) except -1
    cdef int speak(self, Session session) except -1
    cdef bint keep(self) except -1
    cdef int peer_closed(self) except -1
    cdef int flush(self) except -1
    cdef int flush_socket(self, uint64_t *sent) except? -1
    cdef int end_turn(self) except -1
    cdef int settle(self) except -1
    cdef int finish(self) except -1
    cdef int linger(self) except -1
    cdef int broken(self, object failure) except -1
    # its deadline
    cdef void begin_wait(self, Phase phase, uint32_t ms) noexcept
    cdef void set_deadline(self) noexcept
    cdef bint excused(self) noexcept
    cdef int judge(self) except -1
    cdef bint peer_reads(self) noexcept
    # session -> connection
    cdef int open_exchange(self, fs_event *event) except -1
    cdef int refuse(self, int error) except -1
    cdef bint is_full(self)
    cdef int wait_for_room(self) except -1
    cdef int rest(self) except -1
    # exchange -> connection
    cdef bint full(self, Exchange exchange)
    cdef int written(self) except -1
    cdef bint pull(self, Exchange exchange)
    cdef int want_body(self, Exchange exchange) except -1
    cdef int body_awaited(self, Exchange exchange) except -1
    cdef int response_ended(self, Exchange exchange) except -1
    cdef int refuse_exchange(self, Exchange exchange, int error) except -1
    cdef fs_sink *open_tunnel(self, Exchange exchange, const fs_field *fields, uint32_t n) except NULL
    cdef list exchanges(self)
    cdef uint64_t unsent_of(self, Exchange exchange) noexcept
    cdef dict tls_extension(self)
    cdef dict tls_environ(self)
    cdef tuple client_address(self)
    cdef tuple server_address(self)
    cdef bint trusted(self)


# One request and its answer: what every interface shares. An exchange sees its stream and never the protocol.
cdef class Exchange:
    cdef Driver driver
    cdef Connection connection          # None once the response has ended or the connection is gone
    cdef fs_stream *stream              # NULL together with it
    cdef object client                  # for the log: kept only while there is one
    cdef object method
    cdef object raw_path
    cdef object query
    cdef int version
    cdef uint64_t started_us            # monotonic, 0 without an access log
    cdef uint64_t begun_us              # Driver.now_us of the batch that brought its head
    cdef fs_status_row *row             # its place among the requests in flight; NULL where none was free
    cdef uint64_t since                 # monotonic ms at which the application's time began, 0 before
    cdef uint64_t awaiting_since        # and from which on it has waited for the client; 0 while it does not
    cdef uint64_t quiet_since           # monotonic ms: when the answer was last seen to go on, 0 before
    cdef uint64_t sent_before           # `stream.body_sent` at that time
    cdef bint logged                    # the access log has its line
    cdef bint counted                   # its answer is among the responses and durations
    cdef bint started                   # the application has been called, or will be when the body is there
    cdef bint queued                    # a step in the application is due, and after it another turn
    cdef bint running                   # it has not returned yet
    cdef bint counts                    # it has a place among Driver.running
    cdef int waits                      # for a place, or for its call after that (queue.pxi)
    cdef uint64_t queued_since          # where there are queues: since when it waits for its application, monotonic ms
    cdef bint left                      # the client has closed its half, or is gone
    cdef bint told                      # http.disconnect is due: the client has left or the worker stops
    cdef bint lost                      # nothing can be sent any more
    cdef bint body_ended                # the whole request body has arrived
    cdef bint wants_continue            # Expect: 100-continue, not answered yet
    cdef size_t held                    # received bytes that the application has not taken, by which reading is paused
    cdef uint64_t charged               # of the driver's memory: what they cost
    cdef int broken                     # the application's error that broke the response, 0

    # connection -> exchange
    cdef int begin(self, fs_request_head *head) except -1
    cdef int start(self) except -1
    cdef int on_body(self, const char *p, size_t n, bint end) except -1
    cdef char *body_room(self, size_t wanted, size_t *given) except NULL
    cdef int body_filled(self, size_t n, bint end) except -1
    cdef int on_end(self) except -1
    cdef int on_disconnect(self) except -1
    cdef int on_lost(self) except -1
    cdef int on_drained(self) except -1
    cdef int on_refused(self) except -1
    cdef int on_overdue(self) except -1
    cdef bint calls(self) noexcept
    cdef int admitted(self) except -1
    cdef bint wants_body(self) noexcept
    cdef uint64_t due(self) noexcept
    cdef bint awaits_peer(self) noexcept
    cdef int await_client(self) except -1
    cdef int client_came(self) except -1
    cdef uint64_t application_due(self) noexcept
    cdef str lateness(self)
    # connection -> exchange, in a tunnel
    cdef int on_data(self, char *p, size_t n) except -1
    cdef int on_data_end(self) except -1
    cdef bint wants_data(self) noexcept
    # driver -> exchange
    cdef int on_drain(self) except -1
    cdef int on_stop(self) except -1
    cdef int detach(self) except -1
    cdef uint64_t sent(self) noexcept
    cdef int log(self, int status) except -1
    cdef int log_departure(self) except -1
    cdef int fail(self, int error) except -1


cdef class Pieces:
    cdef bytes last                     # the newest piece, None: there is none
    cdef list before                    # those before it; None nearly always
    cdef size_t tail                    # bytes of the last one: it may have room for more
    cdef size_t size                    # of all
    cdef size_t cost                    # memory of all
    cdef PyObject *filling              # owned: bytes that are being received
    cdef char *room(self, size_t wanted) except NULL
    cdef int filled(self, size_t n) except -1
    cdef int add(self, const char *p, size_t n) except -1
    cdef int append(self, bytes piece) except -1
    cdef bint make_room(self, size_t n) except -1
    cdef int trim(self) except -1
    cdef bytes take(self)
    cdef int clear(self) except -1


# One call of an ASGI application.
cdef class ASGIExchange(Exchange):
    cdef ASGI interface
    cdef Task task                      # the application's, once it has suspended
    cdef dict request_scope             # from begin() to start()
    cdef object receiver                # the Wakeup of a `receive` call that waits, or None
    cdef list more_receivers            # those of further ones; None nearly always
    cdef object alarm                   # a timer of the loop, once the client has left and --timeout-client-gone is set
    cdef bint cut                       # `send` raises: nothing reaches the client, or a stop ends a stream that is deaf
    cdef list senders                   # futures of `send` calls that wait; None nearly always
    cdef Send send
    cdef Receive receive

    cdef dict next_event(self)
    cdef object handle_send(self, object event)
    cdef int finished(self, object exception) except -1
    cdef object disconnected(self)
    cdef int log_failure(self, object exception, bint gone) except -1
    cdef int log_begin(self, const fs_request_head *head, dict scope) except -1
    cdef int send_head(self, int status, object pairs, uint32_t flags, uint64_t length) except -1
    cdef int cancel(self) except -1
    cdef int let_go(self) except -1
    cdef int add_receiver(self, object wakeup) except -1
    cdef int drop_receiver(self, object wakeup) except -1
    cdef int add_sender(self, object future) except -1
    cdef int drop_sender(self, object future) except -1
    cdef int wake_receivers(self, bint here) except -1
    cdef int wake_senders(self) except -1
    cdef int client_left(self) except -1
    cdef int forget_alarm(self) except -1
    cdef bint unanswered(self) noexcept
    cdef object after_write(self)
    cdef int check(self, int result) except -1


cdef class HTTPExchange(ASGIExchange):
    cdef Pieces pieces                  # request body that the application has not taken
    cdef int response                   # Response
    cdef int status
    cdef bint end_given                 # `receive` has said more_body False
    cdef dict versions                  # the scope's `asgi`, until the application has taken the body
    cdef bint listens                   # `receive` was awaited beyond the body: it is to say when the client leaves
    cdef object fields                  # the sequence of pairs that `http.response.start` brought
    cdef uint64_t held_since            # monotonic ms from which on the head waits; 0: not seen yet, NEVER: it must not go so
    cdef bint trailers                  # announced by it
    cdef bint trailers_given            # the application has sent all of them, and nobody wanted them
    cdef bint taking                    # in `receive`: what comes is taken at once

    cdef int came(self, size_t n, bint end) except -1
    cdef int no_room(self) except -1
    cdef int reset(self) except -1
    cdef object start_response(self, dict event, EventView *view)
    cdef object send_body(self, dict event, EventView *view)
    cdef object send_path(self, dict event)
    cdef object send_file(self, dict event)
    cdef object send_hints(self, dict event)
    cdef object send_trailers(self, dict event)
    cdef int expect(self, dict event, int response) except -1
    cdef int expect_body(self, dict event) except -1
    cdef int expect_whole(self, dict event) except -1
    cdef bint holds_head(self) noexcept
    cdef int release_head(self) except -1
    cdef int expect_offered(self, str name) except -1
    cdef str sent_so_far(self)
    cdef int refuse_rest(self) except -1
    cdef int dismiss(self) except -1
    cdef int write_head(self, bint end, uint64_t length) except -1
    cdef object after_body(self, int result)
    cdef int end(self) except -1


# Where a WebSocket stands for its application.
cdef enum Stage:
    STAGE_CONNECTING        # it has neither been accepted nor refused
    STAGE_DENIAL            # websocket.http.response.start has come: a body is due
    STAGE_OPEN
    STAGE_ENDING            # websocket.disconnect is due: whatever the application still sends goes out all the same
    STAGE_ENDED             # a close frame has gone, or the connection, or the answer that refused it


cdef class WebSocketExchange(ASGIExchange):
    cdef fs_ws ws                       # from the acceptance on; `opened` says so
    cdef Stage stage
    cdef bint opened
    cdef object message                 # the oldest that the application has not taken, or None
    cdef list queue                     # those after it; None nearly always
    cdef bint connect_given             # `receive` has given websocket.connect
    cdef bint own_end                   # the application has closed or refused it
    cdef bint paused                    # its queue is full: nothing is read
    cdef int refusal                    # what is wrong with the handshake, 0
    cdef tuple offered                  # subprotocols
    cdef bytes key                      # Sec-WebSocket-Key, from begin() to the acceptance
    cdef fs_ws_deflate_params deflate   # what was agreed upon
    cdef object deflate_answer          # and the field's value that says so; None: no compression
    cdef object denial                  # status and fields of websocket.http.response.start
    cdef int code                       # of websocket.disconnect; 0 as long as there is none
    cdef str reason
    cdef uint64_t bytes_out             # of messages, for the log
    cdef uint64_t ping_at               # monotonic ms: the next ping is due, 0 for none
    cdef uint64_t pong_by               # an answer to the last one is due, 0 for none
    cdef uint64_t close_by              # the peer's close frame is due, 0 for none
    cdef uint64_t tell_at               # the application is told that the server stops, 0 for never
    cdef uint32_t ping_number           # of the last ping: its payload
    cdef uint32_t message_number        # of the message that has begun and is not complete, as ws.begun has it,
    cdef uint32_t message_progress      # and how far it was at message_at
    cdef uint64_t message_since         # monotonic ms at which it began, 0 for none
    cdef uint64_t message_at            # and at which it last went on

    cdef Py_ssize_t waiting_messages(self) noexcept
    cdef int read_messages(self) except -1
    cdef int take_message(self, fs_ws_event *event) except -1
    cdef int ended(self, int code, str reason) except -1
    cdef int leave(self) except -1
    cdef int failed(self, int error) except -1
    cdef int close_with(self, int code, str reason) except -1
    cdef int farewell(self, object exception) except -1
    cdef int late(self) except -1
    cdef int ping(self) except -1
    cdef int no_pong(self) except -1
    cdef int message_late(self) except -1
    cdef uint64_t message_by(self) noexcept
    cdef void time_message(self) noexcept
    cdef int expect(self, dict event, Stage stage) except -1
    cdef list accept_fields(self, dict event)
    cdef object accept(self, dict event)
    cdef object send_message(self, dict event)
    cdef object send_close(self, dict event)
    cdef object start_denial(self, dict event)
    cdef object send_denial(self, dict event)
    cdef int refuse(self, int status) except -1


# The two callables of an ASGI application. Called by vectorcall: no argument tuple is made.
cdef class Send:
    cdef void *vectorcall               # first field: its offset is the type's tp_vectorcall_offset
    cdef ASGIExchange exchange


cdef class Receive:
    cdef void *vectorcall
    cdef ASGIExchange exchange


# What a WSGI application has still to do.
cdef enum Progress:
    WSGI_READING            # the body is still coming: the application has not been called
    WSGI_CALL               # it is to be called
    WSGI_PULL               # its iterable is to be pulled
    WSGI_CLOSE              # the iterable is only to be closed
    WSGI_DONE


cdef class WSGIExchange(Exchange):
    cdef WSGI interface
    cdef Threads threads
    cdef int progress                   # Progress
    cdef bint paused                    # waits for room in the out-queue
    cdef bint overdue                   # was answered 504; whoever runs it is still inside the application
    cdef int worker                     # number of the thread whose step it is
    cdef unsigned long ident            # of that thread, as Python has it; 0 outside a step
    cdef uint64_t seen_us               # where threads are timed: when that thread last gave a sign, monotonic
    cdef uint64_t seen_sent             # bytes of the answer that had been sent then
    cdef WSGIExchange next              # in the queue, or in the chain of spares
    cdef dict environ                   # from begin() to the call
    # the request's body
    cdef BodyStore body
    # the response
    cdef object status                  # str, None until start_response
    cdef int code                       # of it
    cdef tuple fields                   # pairs of str
    cdef object said_length             # what the application gave as Content-Length, or None
    cdef object iterable                # what the application returned
    cdef object iterator
    cdef bint single                    # the iterable says that it has one element
    cdef object room                    # an event that those wait for who are in `write`, or None
    cdef Connection following           # whose turn comes after this step, for its next request
    cdef StartResponse start_response
    cdef Write write
    cdef EarlyHints early_hints
    cdef ClientIsGone client_disconnected

    cdef int reset(self) except -1
    cdef int let_go(self) except -1
    cdef void perform(self) noexcept
    cdef int call(self) except -1
    cdef int answer(self, object result) except -1
    cdef int answer_whole(self, bytes body) except -1
    cdef int answer_file(self, FileWrapper wrapper) except -1
    cdef int pull(self) except -1
    cdef int send_piece(self, bytes piece) except -1
    cdef int after_body(self, int result) except -1
    cdef int end_body(self) except -1
    cdef int completed(self) except -1
    cdef int give_turn(self, Connection connection) except -1
    cdef int leave_soon(self) except -1
    cdef int expect_body(self, fs_request_head *head) except -1
    cdef int unstored(self, error) except -1
    cdef int give_up_body(self, int error) except -1
    cdef int drop_call(self) except -1
    cdef int no_room(self, int error) except -1
    cdef int enqueue(self) except -1
    cdef int write_head(self, bint end, uint64_t length) except -1
    cdef void failed(self, object failure) noexcept
    cdef void close_iterable(self) noexcept
    cdef object handle_start(self, object status, object headers, object exc_info)
    cdef int handle_write(self, object data) except -1
    cdef int handle_hints(self, object headers) except -1
    cdef int wait_for_room(self) except -1
    cdef int wait_alone(self) except -1
    cdef int make_room(self) except -1
    cdef bint leads(self) noexcept
    cdef bint is_overdue(self) noexcept
    cdef int refuse_late(self) except -1
    cdef bint client_is_gone(self) except -1


# The body of a request on its way to an application that is called when all of it is there. What gives an FS_E_* raises too:
# 1 is then given.
cdef class BodyStore:
    cdef Driver driver
    cdef int64_t length                 # announced, -1: chunked
    cdef uint64_t size                  # received
    cdef bytes whole                    # of a small length that was announced: filled in place
    cdef Pieces pieces                  # otherwise, until they exceed the limit
    cdef object file                    # and then: a BodyFile
    cdef uint64_t charged               # of the driver's memory
    cdef char *room(self, size_t wanted, size_t *given) except NULL
    cdef int filled(self, size_t n) except 1
    cdef int add(self, const char *p, size_t n) except 1
    cdef int kept(self, size_t n) except 1
    cdef bint afford(self, uint64_t cost) noexcept
    cdef int spill(self) except 1
    cdef int to_file(self, const char *p, size_t n, uint64_t size) except 1
    cdef object input(self)


# The callables of a WSGI application.
cdef class StartResponse:
    cdef void *vectorcall               # first field, as in Send
    cdef WSGIExchange exchange


cdef class Write:
    cdef WSGIExchange exchange


# A callable that stands in the environ, and in the prototypes that environs are copied from.
cdef class Handle:
    cdef WSGIExchange exchange
    cdef Py_ssize_t held                # places in prototypes where it stands


cdef class EarlyHints(Handle):
    pass


cdef class ClientIsGone(Handle):
    pass


cdef class FileWrapper:
    cdef readonly object filelike
    cdef readonly object block_size
