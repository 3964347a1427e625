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
    cdef raises forget(self) except -1
    cdef bint leads(self, int me) noexcept
    cdef bint defers(self, int me) noexcept
    cdef raises push(self, WSGIExchange exchange) except -1
    cdef raises append(self, WSGIExchange exchange) except -1
    cdef WSGIExchange pop(self)
    cdef raises postpone(self, WSGIExchange exchange) except -1
    cdef raises recall(self) except -1
    cdef raises life(self, int me) except -1
    cdef int lead(self, int me) except -1
    cdef int step(self, int me) except -1
    cdef raises note_overdue(self) except -1
    cdef raises show_queue(self) except -1
    cdef raises come_round(self) except -1
    cdef raises wait(self, int timeout_ms) except -1
    cdef int spell(self, int me) except -1
    cdef bint has_follower(self) except -1
    cdef bint hand_over(self) except -1
    cdef bint is_driven(self, int me) except -1
    cdef bint new_thread(self) except -1
    cdef raises make_calls(self) except -1
    cdef raises open_home(self) except -1
    cdef raises wait_at_home(self) except -1
    cdef raises check_ended(self) except -1
    cdef void learn(self, bint slow) noexcept
