# The threads of a worker without an event loop. One of them leads: it waits for events, reads requests, and runs the
# application itself, so that a fast one costs no handover. When a call lasts, the relay's watch (net/relay.h) lets
# another thread lead; when calls have lasted recently, the leader gives the lead away before each call.
#
# The driver and all that it owns are touched only under the relay's lock. Nobody waits for the lock with the GIL held:
# whoever holds the lock may be waiting for the GIL.
#
# With a single thread, nobody else can lead. Answers that leave together still wait there for calls of the application;
# a guard, a thread that Python does not know, sends them when a call lasts. It begins with the first answer that waits
# so.

cdef enum:
    SLOW_ONE = 65536            # the share of slow steps if all were slow
    SLOW_PART = 64              # a step moves the share by this part of the way: one slow call in a thousand is nothing
    SLOW_LIMIT = 8192           # an eighth: from here on the lead is handed over before a call
    SLOW_US = 500               # a step that lasts longer is slow
    HOME_LOOK_MS = 1000         # until a signal is noticed that did not write to our pipe


cdef class ThreadedExchange(Exchange):

    cdef void perform(self) noexcept:
        """Runs one step in the application, and what `progress` says next. The lock is held before and after. Failures
        are logged and answered there."""

    cdef bint is_overdue(self) noexcept:
        """Whether its thread, inside a step, has neither come back nor sent anything for too long."""
        return False

    cdef raises recycle(self) except -1:
        """Called when its last step is over: it may serve another request, or is let go."""
        raise NotImplementedError


@cython.final
cdef class Threads:

    def __cinit__(self, unsigned most, bint watched):
        cdef int result = fs_relay_init(&self.relay)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        self.relay_made = True
        self.most = most
        self.watched = self.seen_to = watched
        self.calls = []
        self.inside = []
        self.home_read = self.home_write = -1

    def __dealloc__(self):
        if self.home_read >= 0:
            fs_close(self.home_read)
            fs_close(self.home_write)
        if self.relay_made:
            fs_relay_free(&self.relay)

    # ---- the lock

    cdef void enter(self) noexcept:
        if not fs_relay_try(&self.relay):
            if self.driver is not None and self.driver.forgotten:
                self.driver.came_back()
            with nogil:
                fs_relay_lock(&self.relay)

    cdef void leave(self) noexcept:
        fs_relay_unlock(&self.relay)

    cdef bint leads(self, int me) noexcept:
        return self.relay.leader == me

    cdef bint defers(self, int me) noexcept:
        """Whether an answer may leave after its step together with those that come next: nobody waits long for them."""
        return self.relay.leader == me and (self.watched or self.slow < SLOW_LIMIT)

    cdef bint defers_within(self, int me) noexcept:
        """Whether it may even wait for the rest of its own step."""
        return self.relay.leader == me and self.seen_to

    cdef bint is_seen_to(self) except -1:
        """With a single thread: whether somebody sends what waits if the step that begins now lasts. Only if something
        may wait: an answer that would leave alone does not."""
        if self.driver.deferred_count == 0 and self.at == self.n and self.first is None or self.slow >= SLOW_LIMIT:
            return False
        if not self.guarded:
            result = fs_relay_start_guard(&self.relay, held_up, <void *>self)
            if result == 0:
                self.guarded = True
            elif not self.short:
                self.short = True
                report(self.driver.logger, LOG_ERROR, "A thread cannot be started: %s", (os.strerror(-result),))
        return self.guarded

    cdef raises forget(self) except -1:
        """In a forked child, whose only thread is inside the application: removes the lock by which it would come
        back."""
        self.halted = self.over = True
        self.calls.clear()
        if self.home_read >= 0:
            fs_close(self.home_read)
            fs_close(self.home_write)
            self.home_read = self.home_write = -1
        fs_relay_forget(&self.relay)

    # ---- the steps that wait

    cdef raises push(self, ThreadedExchange exchange) except -1:
        self.append(exchange)
        if self.watched and not self.driver.polling:
            fs_poller_wake(&self.driver.poller)     # this thread may be in the application for long

    cdef raises append(self, ThreadedExchange exchange) except -1:
        exchange.queued = True
        if self.first is None:
            self.first = exchange
        else:
            self.last.next = exchange
        self.last = exchange

    cdef ThreadedExchange pop(self):
        cdef ThreadedExchange exchange = self.first
        self.first = exchange.next
        if self.first is None:
            self.last = None
        exchange.next = None
        exchange.queued = False
        return exchange

    cdef raises postpone(self, ThreadedExchange exchange) except -1:
        """Continues an exchange in the next round, after events. A thread that does not lead keeps nobody waiting."""
        if not self.leads(exchange.worker):
            return self.append(exchange)
        exchange.queued = True
        exchange.next = self.later
        self.later = exchange

    cdef raises recall(self) except -1:
        cdef ThreadedExchange exchange
        while self.later is not None:
            exchange = self.later
            self.later = exchange.next
            exchange.next = None
            self.append(exchange)

    # ---- a thread's life

    def serve(self):
        """Serves in this thread, or in threads of its own while this one waits, until `halt`."""
        if self.driver is None:
            raise RuntimeError("there is no driver to serve")
        if not self.watched:
            self.number = self.count = 1
            try:
                self.life(1)
            finally:
                with nogil:
                    fs_relay_end_guard(&self.relay)
                self.guarded = False
            return
        watch = threading.Thread(target=self.watch, name="fastserve-watch", daemon=True)
        watch.start()
        try:
            self.enter()
            try:
                self.new_thread()
            finally:
                self.leave()
            if self.count == 0:
                raise RuntimeError("not a single thread could be started")
            self.wait_at_home()
        finally:
            self.enter()
            fs_relay_end_watch(&self.relay)
            self.leave()
            watch.join()

    cdef raises open_home(self) except -1:
        if self.watched:
            self.home_read, self.home_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    cdef raises wait_at_home(self) except -1:
        """Waits in the serving thread, usually the main one, since Python runs signal handlers in no other. Waits on
        the pipe to which signals write, whichever thread the kernel gives them to."""
        cdef pollfd waiting
        waiting.fd = self.home_read
        waiting.events = POLLIN
        while not self.over:
            with nogil:
                c_poll(&waiting, 1, HOME_LOOK_MS)
            PyErr_CheckSignals()
            try:
                os.read(self.home_read, 64)
            except BlockingIOError:
                pass    # a signal may have come without a byte: the pipe was full, or signals write to another one

    cdef raises check_ended(self) except -1:
        """Ends the worker when it may. Threads may stay inside the application for ever: nobody waits for them."""
        if self.halted and self.watched and self.count <= self.running and not self.over:
            self.over = True
            c_write(self.home_write, "", 1)     # a pipe that is full wakes as well

    def watch(self):
        with nogil:
            fs_relay_watch(&self.relay)

    def run(self, int me):
        self.life(me)

    cdef raises life(self, int me) except -1:
        self.enter()
        try:
            while not self.halted:
                try:
                    if self.spell(me) and self.new_thread():
                        break
                except BaseException as failure:
                    report(self.driver.logger, LOG_CRITICAL, "internal error in a thread", (), failure)
        finally:
            self.count -= 1
            if self.relay.leader == me:
                self.relay.leader = 0
                fs_relay_wake(&self.relay)
            self.check_ended()
            self.leave()

    cdef int spell(self, int me) except -1:
        """Leads for a while, runs a step, or rests. Returns 1 if another thread should take this one's place, as
        `step`."""
        if self.relay.leader == 0 or self.relay.leader == me:
            fs_relay_lead(&self.relay, me)
            return self.lead(me)
        if self.first is not None and self.running < self.most:
            if self.watched:
                self.has_follower()     # this one takes the lead from one that is held up, and may be held up itself
            return self.step(me)
        with nogil:
            fs_relay_rest(&self.relay)
        return 0

    cdef bint new_thread(self) except -1:
        """Starts a thread. Returns whether it runs."""
        self.number += 1
        thread = threading.Thread(target=self.run, args=(self.number,), name=f"fastserve-{self.number}", daemon=True)
        self.count += 1
        try:
            thread.start()
        except Exception as failure:
            self.count -= 1
            if not self.short:
                self.short = True
                report(self.driver.logger, LOG_ERROR, "a thread cannot be started: %s", (failure,))
            return False
        self.short = False
        return True

    cdef bint has_follower(self) except -1:
        """Whether a thread can take the lead: one that rests, or a new one."""
        return fs_relay_can_wake(&self.relay) or self.count <= self.most and self.new_thread()

    cdef bint hand_over(self) except -1:
        """Gives the lead away if somebody can take it. A thread that has just finished a step does not rest yet, and
        finds that nobody leads: if the lead were kept from it, it would wait for the watch."""
        if self.count <= self.running + 1 and not self.has_follower():
            return False
        self.relay.leader = 0
        fs_relay_wake(&self.relay)      # a new thread needs no waking
        return True

    cdef bint is_driven(self, int me) except -1:
        """Whether somebody handles events while this thread waits within its step. Gives away the lead that it may
        have, even to nobody, so that whoever waits elsewhere notices.
        me: 0 for a thread that cannot have the lead."""
        cdef bint followed
        if self.relay.leader and self.relay.leader != me:
            return True                 # or the lead is taken from the other when that is held up
        if self.relay.leader:
            fs_relay_end_step(&self.relay, me)
            self.relay.leader = 0
        if self.relay.woken:
            return True                 # the new thread will lead
        followed = self.has_follower()
        fs_relay_wake(&self.relay)
        return followed

    cdef int lead(self, int me) except -1:
        """Drives until the lead is lost. Returns 1 if the thread should end, as `step` does."""
        cdef Driver driver = self.driver
        if self.watched:
            self.has_follower()         # so that somebody can take the lead when it has to be taken away
        driver.clock()
        driver.begin_batch()
        while self.relay.leader == me and not self.halted:
            try:
                if self.first is not None and self.running < self.most:
                    if self.watched and self.slow >= SLOW_LIMIT:
                        driver.send_deferred()
                        if self.hand_over():
                            driver.end_batch()
                            return self.step(me)
                    if self.step(me):
                        return 1
                elif self.at < self.n:
                    self.at += 1
                    driver.take(&self.batch[self.at - 1])
                else:
                    self.come_round()
            except BaseException as failure:
                report(driver.logger, LOG_CRITICAL, "internal error in the driver", (), failure)
        driver.end_batch()
        return 0

    cdef raises come_round(self) except -1:
        """Ends the batch: sends its answers and waits for the next one."""
        cdef Driver driver = self.driver
        driver.take_scheduled()
        driver.send_deferred()
        self.make_calls()
        tell_watches(driver)
        driver.note_stall()
        driver.finish_batch()
        if self.halted:
            return 0
        self.last_step = 0
        busy = self.later is not None or PyList_GET_SIZE(driver.scheduled) or (
            self.first is not None and self.running < self.most)
        self.wait(0 if busy else -1)
        self.recall()

    cdef raises wait(self, int timeout_ms) except -1:
        cdef Driver driver = self.driver
        cdef uint64_t due = driver.poller.timer_due
        cdef int n
        driver.end_batch()
        with nogil:
            fs_relay_unlock(&self.relay)
            n = fs_poller_collect(&driver.poller, self.batch, FS_POLL_BATCH, timeout_ms)
        try:
            PyErr_CheckSignals()
        finally:
            self.enter()
            driver.begin_batch()
            # Also if a handler raised: events in the batch are not reported again.
            self.at = 0
            self.n = fs_poller_sort_out(&driver.poller, self.batch, n) if n > 0 else 0
            driver.look(due)
        if n < 0:
            raise OSError(-n, os.strerror(-n))

    cdef raises make_calls(self) except -1:
        while self.calls:
            call = self.calls.pop(0)
            call()

    # ---- one step

    cdef int step(self, int me) except -1:
        """Runs the application for the first waiting exchange. Returns 1 if the thread should end afterwards: its call
        was given up long ago, and nobody knows what it has left behind."""
        cdef Driver driver = self.driver
        cdef ThreadedExchange exchange = self.pop()
        cdef Connection following
        cdef bint leading = self.leads(me)
        cdef bint kept
        cdef uint64_t began = fs_monotonic_us()
        driver.count_durations(began)
        if leading and not self.watched:
            # Nobody watches: the time from one step to the next shows it.
            if self.last_step:
                self.learn(began - self.last_step > SLOW_US)
            self.last_step = began
        if leading and not self.watched:
            self.seen_to = self.is_seen_to()
            if not self.seen_to and driver.deferred_count:
                driver.send_deferred()
        driver.end_batch()
        self.running += 1
        exchange.worker = me
        if self.timed:
            exchange.seen_us = began
            self.inside.append(exchange)
        if leading and self.seen_to:
            fs_relay_begin_step(&self.relay)
            exchange.perform()
            kept = fs_relay_end_step(&self.relay, me)
            if self.watched:
                self.learn(not kept)
            elif not kept:
                fs_relay_lead(&self.relay, me)      # the guard has taken it, and nobody else is there
        else:
            exchange.perform()
            if not leading:
                self.learn(fs_monotonic_us() - began > SLOW_US)
        self.running -= 1
        if self.timed:
            self.inside.remove(exchange)
            driver.status.threads_overdue_since = 0
        overdue = exchange.overdue
        following, exchange.following = exchange.following, None
        if exchange.progress == WSGI_DONE and not exchange.queued:
            exchange.recycle()
        if following is not None:
            driver.let_turns_wait(self.defers(me))
            following.turn()
        driver.let_turns_wait(self.leads(me))
        if not driver.polling:
            driver.finish_batch()
        if driver.idle_callback is not None:
            driver.check_idle()
        return overdue and self.watched

    cdef raises note_overdue(self) except -1:
        """Notes whether the worker has a thread that is not late, for the supervisor, which may replace it. An answer
        on a late thread's behalf does not bring that thread back."""
        cdef ThreadedExchange exchange
        cdef unsigned overdue = 0
        for exchange in self.inside:
            overdue += exchange.is_overdue()
        if overdue < self.most:
            self.driver.status.threads_overdue_since = 0
        elif not self.driver.status.threads_overdue_since:
            self.driver.status.threads_overdue_since = self.driver.now

    cdef raises show_queue(self) except -1:
        """Writes the queue into the status, with the requests that wait for a thread, but not those that went on
        meanwhile or whose client has left."""
        cdef ThreadedExchange exchange = self.first
        cdef uint64_t length = 0, since = 0
        while exchange is not None:
            if exchange.progress == WSGI_CALL:
                length += 1
                since = earliest(since, exchange.since)
            exchange = exchange.next
        show_queue(self.driver, length, since)

    cdef void learn(self, bint slow) noexcept:
        cdef int32_t target = SLOW_ONE if slow else 0
        self.slow += (target - <int32_t>self.slow) // SLOW_PART

    # ---- from outside

    def halt(self):
        """Ends `serve`. Lasting calls of the application are left alone."""
        self.enter()
        try:
            self.halted = True
            fs_relay_wake_all(&self.relay)
            self.check_ended()
        finally:
            self.leave()
        self.awake()

    def awake(self):
        if self.driver is not None:
            fs_poller_wake(&self.driver.poller)

    def call_soon(self, call):
        """Makes the leader call it between two batches, under the lock. From any thread, and from a signal handler."""
        self.calls.append(call)
        self.awake()


cdef void held_up(void *threads) noexcept with gil:
    """In the guard's thread, with the lock: a step of the only thread lasts. What waits behind it leaves."""
    cdef Driver driver = (<Threads>threads).driver
    try:
        driver.send_deferred()
    except BaseException as failure:
        report(driver.logger, LOG_CRITICAL, "internal error in the driver", (), failure)
