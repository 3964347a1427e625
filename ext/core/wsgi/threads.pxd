# What a WSGI application still has to do.
cdef enum Progress:
    WSGI_READING            # the body is still coming: the application has not been called
    WSGI_CALL               # it has to be called
    WSGI_PULL               # its iterable has to be pulled
    WSGI_CLOSE              # the iterable only has to be closed
    WSGI_DONE


# A request whose application is called in a thread, as far as the threads know it. What a step does is its subclass's
# affair.
cdef class ThreadedExchange(Exchange):
    cdef int progress                   # Progress
    cdef bint overdue                   # was answered 504; its thread is still inside the application
    cdef int worker                     # number of the thread that runs its step
    cdef unsigned long ident            # Python's number of that thread; 0 outside a step
    cdef uint64_t seen_us               # if threads are timed: that thread's last sign of life, monotonic
    cdef ThreadedExchange next          # in the queue, or in the chain of spares
    cdef Connection following           # the connection that has its turn after this step, for its next request

    cdef void perform(self) noexcept
    cdef bint is_overdue(self) noexcept
    cdef raises recycle(self) except -1


# The threads of a worker without an event loop.
cdef class Threads:
    cdef Driver driver                  # None until it serves
    cdef fs_relay relay
    cdef bint relay_made
    cdef unsigned most                  # most calls of the application at a time
    cdef bint watched                   # another thread can take over from a call that lasts
    cdef bint guarded                   # or a guard sends what waits behind one
    cdef bint seen_to                   # one or the other does so in the leader's step
    cdef bint halted
    cdef bint short                     # the last thread could not be started, and that was logged
    cdef unsigned count                 # threads alive
    cdef int number                     # of the newest one
    cdef unsigned running               # calls of the application at this moment
    cdef bint timed                     # there is a deadline for threads
    cdef list inside                    # if timed: the exchanges of those calls
    cdef uint32_t slow                  # recent share of slow steps, SLOW_ONE if all were slow
    cdef uint64_t last_step             # monotonic us at which the last step of this batch began, 0 for none
    cdef ThreadedExchange first, last       # exchanges that wait for a step
    cdef ThreadedExchange later             # exchanges that have had their share of this round, the newest first
    cdef list calls                     # the arguments of `call_soon`
    cdef bint over                      # a worker with several threads has ended
    cdef int home_read, home_write      # the pipe that wakes the waiting main thread; -1 if none waits
    cdef fs_ready batch[FS_POLL_BATCH]
    cdef int at, n                      # position in the batch, and its length
    cdef void enter(self) noexcept
    cdef void leave(self) noexcept
    cdef raises forget(self) except -1
    cdef bint leads(self, int me) noexcept
    cdef bint defers(self, int me) noexcept
    cdef bint defers_within(self, int me) noexcept
    cdef bint is_seen_to(self) except -1
    cdef raises push(self, ThreadedExchange exchange) except -1
    cdef raises append(self, ThreadedExchange exchange) except -1
    cdef ThreadedExchange pop(self)
    cdef raises postpone(self, ThreadedExchange exchange) except -1
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
