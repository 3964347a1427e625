cdef enum:
    DEFER_MAX = 16          # turns whose answers are sent together


# Which protocols a listener's connections may speak.
cdef enum HTTPVersions:
    HTTP_ANY
    HTTP_1_ONLY
    HTTP_2_ONLY


cdef class Driver:
    cdef object __weakref__             # for the ledger
    cdef Interface interface
    cdef object logger
    cdef TrustedProxies forwarding      # whose X-Forwarded fields are believed; None: nobody's
    cdef object proxy_protocol          # None, or says whether a peer host's connections begin with a header
    cdef bytes server_line
    cdef bytes extra_lines
    cdef AccessLog access_log
    cdef Refusals refusals
    cdef list scheduled                 # connections that want a turn outside poll
    cdef PyObject *deferred[DEFER_MAX]  # strong: connections whose turn still has to end
    cdef uint32_t deferred_count
    cdef list dead                      # closed in this batch; freed when it ends
    cdef list watches_due               # watches whose callback is due when this batch has ended
    cdef bint sweep_scheduled
    cdef bint turning                   # poll() or sweep() is on the stack: neither is entered again, nothing is buried
    cdef bint idle_stack                # in poll() or sweep(), without the application's code below us on the stack
    cdef bint buffer_held               # a turn is on the stack whose unparsed bytes may be in `buffer`
    cdef bint polling                   # a batch is in progress, and this thread's turns may end later in it
    cdef bint closed
    cdef bint forgotten                 # this is a child that the application has forked: the driver is the parent's
    cdef bint copied                    # the application has forked: others may have the connections' descriptors too
    cdef object idle_callback
    cdef object alarm_callback
    cdef fs_limits limits
    cdef fs_budget memory               # what is held for clients: their bodies, messages and unread bytes
    cdef fs_budget files                # and bodies in files
    cdef uint64_t room_said             # monotonic ms at which the lack of room was last logged, 0: never
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
    cdef uint64_t looked_us             # when the clock was last read
    cdef uint64_t stalled               # total ms in which it stood still: blocked by the application, or not run
    cdef uint32_t handshakes            # steps of TLS handshakes in this batch
    cdef object view                    # a memoryview over `buffer`
    cdef uint32_t ended_now             # answers to requests of this moment, whose duration still has to be counted
    cdef uint64_t drain_until           # monotonic ms until which an idle connection may bring one more request
    cdef bint gave_up                   # requests in flight were told or cancelled: an answer they do not give is 503
    cdef uint64_t spread_until          # until when WebSockets are closed, each at its moment
    cdef uint32_t live                  # connections
    cdef uint32_t in_flight             # requests whose client waits
    cdef uint32_t running               # those, and the ones that go on without a client: max_concurrency's count
    cdef bint queues                    # requests wait for a place, or for limited time for a call (queue.pxi)
    cdef object queue                   # an OrderedDict of the exchanges that wait for a place, the oldest first
    cdef uint32_t queue_length
    cdef list admitted                  # those that got a place, and are called when the driver comes round
    cdef uint64_t queue_said            # monotonic ms at which too long waits were last logged, 0: never
    cdef fs_status *status              # the counters
    # The owner of that memory; NULL: ours. A pointer, because the garbage collector must not see it: it clears a
    # memoryview that it finds in a cycle with us, although we count there until the end.
    cdef Py_buffer *status_buffer
    cdef uint64_t free_rows             # free rows of its table of requests
    cdef list siblings                  # siblings to which connections may be handed over
    cdef dict by_name                   # listeners, by the names that siblings know
    cdef uint32_t short_lived           # connections that have ended soon, since the last accept
    cdef uint32_t short_lives           # the recent most of them between two accepts; in sixteenths
    cdef uint32_t passing               # how many connections are expected to end on their own, soon
    cdef uint64_t handover_number       # number of the last handover; its upper half is this process's ID
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

    cdef raises take(self, const fs_ready *ready) except -1
    cdef raises open_status(self, object memory) except -1
    cdef void clock(self) noexcept
    cdef void look(self, uint64_t due) noexcept
    cdef void note_stall(self) noexcept
    cdef raises take_all(self, const fs_ready *ready, int n) except -1
    cdef void begin_batch(self) noexcept
    cdef void end_batch(self) noexcept
    cdef bint let_turns_wait(self, bint may) noexcept
    cdef bint enter_application(self) noexcept
    cdef void leave_application(self, bint before) noexcept
    cdef void hold_buffer(self) noexcept
    cdef void release_buffer(self) noexcept
    cdef raises schedule_again(self, Connection connection) except -1
    cdef void forget_status(self) noexcept
    cdef raises schedule(self, Connection connection) except -1
    cdef raises schedule_sweep(self) except -1
    cdef raises take_scheduled(self) except -1
    cdef raises finish_batch(self) except -1
    cdef raises bury(self) except -1
    cdef raises defer(self, Connection connection) except -1
    cdef raises send_deferred(self) except -1
    cdef raises expire(self) except -1
    cdef void count_durations(self, uint64_t us) noexcept
    cdef raises check_idle(self) except -1
    cdef raises set_timer(self) except -1
