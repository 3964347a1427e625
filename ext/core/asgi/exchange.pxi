# What the ASGI exchanges share: one task of the application, its `receive` and `send`, and the calls that wait in them.

cdef inline bint is_text(object o, str expected) noexcept:
    """Whether `o` equals one of our own short ASCII strings."""
    return o is expected or (
        type(o) is str and PyUnicode_IS_ASCII(o) and PyUnicode_GET_LENGTH(o) == PyUnicode_GET_LENGTH(expected)
        and memcmp(PyUnicode_DATA(o), PyUnicode_DATA(expected), PyUnicode_GET_LENGTH(expected)) == 0)


cdef str waiting_stack(coroutine):
    """Returns the stack of a suspended coroutine, outermost first; Task.get_stack shows the outermost frame alone."""
    frames = []
    while (frame := getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)) is not None:
        frames.append((frame, frame.f_lineno))
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format()).rstrip()


cdef class ASGIExchange(Exchange):
    """One call of an ASGI application."""

    def __cinit__(self, ASGIApplication interface):
        if interface is not None:
            self.interface = interface
            self.driver = interface.driver
        if FS_DEBUG:
            live_objects["exchanges"] += 1

    def __dealloc__(self):
        if FS_DEBUG:
            live_objects["exchanges"] -= 1

    cdef dict next_event(self):
        """Returns the next event for `receive`, or None if the application has to wait."""
        raise NotImplementedError

    cdef object handle_send(self, object event):
        """Takes an event from `send`. Returns the awaitable that `send` returns."""
        raise NotImplementedError

    cdef raises finished(self, object exception) except -1:
        """The application has returned or raised. Its exception is logged here, once, with method and path."""
        raise NotImplementedError

    cdef raises start(self) except -1:
        self.started = True
        if self.driver.queues and is_held_back(self):
            return 0
        self.running = True
        self.since = self.driver.now
        self.run()

    cdef raises admitted(self) except -1:
        self.running = True
        self.since = self.driver.now
        if self.left:
            self.client_left()      # its time begins with the call
        self.run()

    # ---- the call

    cdef raises run(self) except -1:
        """Calls the application and runs its first step immediately. One that never suspends costs the loop nothing."""
        cdef ASGIApplication interface = self.interface
        cdef Driver driver = self.driver
        cdef Task task
        cdef dict scope = self.request_scope
        cdef bint idle_stack
        if interface.may_nest():
            return self.run_by_the_loop()
        self.request_scope = None
        idle_stack = driver.enter_application()
        try:
            coroutine = interface.application(scope, self.receive, self.send)
            scope = None        # the application's alone
            if not PyCoro_CheckExact(coroutine) and not asyncio.iscoroutine(coroutine):
                coroutine = as_coroutine(coroutine)
            task = interface.runner.run(coroutine)
            coroutine = None
        except BaseException as failure:
            driver.leave_application(idle_stack)
            self.finished(failure)
            interface.recycle(self)
            return 0
        driver.leave_application(idle_stack)
        if task is None:
            self.finished(interface.runner.take_failure() if interface.runner.failure is not None else None)
            interface.recycle(self)
            return 0
        self.suspended(task)

    cdef raises run_by_the_loop(self) except -1:
        """Calls the application in a task like any other."""
        cdef ASGIApplication interface = self.interface
        cdef dict scope = self.request_scope
        self.request_scope = None
        self.suspended(Task(call_application(interface.application, scope, self.receive, self.send), loop=interface.loop,
                            context=interface.runner.base.copy()))

    cdef raises suspended(self, Task task) except -1:
        self.task = task
        self.interface.working.add(self)
        task.watch(self, application_ended)

    cdef raises log_begin(self, const fs_request_head *head, dict scope) except -1:
        """Keeps what the line in the access log will say."""
        if self.driver.access_log.fd >= 0:
            self.logged = False
            self.query = self.interface.scopes.target.query
            self.client = <object>PyDict_GetItemWithError(scope, "client")
            self.version = head.version
            self.started_us = fs_monotonic_us()

    cdef object disconnected(self):
        return ClientDisconnected("the client has disconnected" if self.lost else "the server stops")

    cdef int log_failure(self, object exception, bint gone) except -1:
        """Logs an application error unless it is a cancellation or follows from the client's disconnect. Returns 1 if
        it was logged."""
        if gone and caused_by_disconnect(exception):
            report(self.driver.logger, LOG_DEBUG, "the client left, or the server stops: %s %s", (self.method_name(), self.path_name()))
        elif not isinstance(exception, asyncio.CancelledError):
            report(self.driver.logger, LOG_ERROR, "exception in ASGI application: %s %s",
                   (self.method_name(), self.path_name()), exception)
            return 1
        return 0

    cdef raises on_writable(self) except -1:
        self.wake_senders()

    # ---- a client that has left

    cdef raises client_left(self) except -1:
        """Limits the time of an application whose client has left (--timeout-client-gone), from the first sign on."""
        cdef uint32_t patience = self.driver.limits.timeout_client_gone
        self.left = True
        if patience and self.alarm is None:
            self.alarm = self.interface.loop.call_later(patience / 1000.0, cancel_abandoned, self)
        return 0

    cdef raises forget_alarm(self) except -1:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        return 0

    cdef bint unanswered(self) noexcept:
        """Whether the answer is not complete yet: what an application does after its answer is its own affair."""
        return self.lost or self.stream != NULL

    # ---- who waits

    cdef raises add_receiver(self, object wakeup) except -1:
        if not self.body_ended and self.connection is not None:
            self.await_client()
            self.connection.body_awaited(self)
        if self.receiver is None:
            self.receiver = wakeup
        elif self.more_receivers is None:
            self.more_receivers = [wakeup]
        else:
            self.more_receivers.append(wakeup)

    cdef raises drop_receiver(self, object wakeup) except -1:
        """It may have been woken already."""
        self.client_came()
        if self.receiver is wakeup:
            self.receiver = self.more_receivers.pop(0) if self.more_receivers else None
        elif self.more_receivers is not None and wakeup in self.more_receivers:
            self.more_receivers.remove(wakeup)

    cdef raises add_sender(self, object future) except -1:
        self.await_client()
        if self.senders is None:
            self.senders = [future]
        else:
            self.senders.append(future)

    cdef raises drop_sender(self, object future) except -1:
        """It may have been woken already."""
        self.client_came()
        if self.senders is not None and future in self.senders:
            self.senders.remove(future)

    # All that wait are woken: one that is being cancelled must not swallow the others' turn.

    cdef raises wake_receivers(self, bint here) except -1:
        """Wakes all that wait in `receive`. `here`: called by the driver's turn, so that the application may go on at
        once unless it is running."""
        cdef Driver driver = self.driver
        cdef Wakeup wakeup = self.receiver
        cdef list others = self.more_receivers
        if wakeup is None:
            return 0
        self.client_came()
        self.receiver = self.more_receivers = None
        if others is None and here and driver.idle_stack and not self.interface.may_nest():
            driver.enter_application()
            try:
                wakeup.fire(True)
            finally:
                driver.leave_application(True)
            return 0
        wakeup.fire(False)
        for wakeup in others or ():
            wakeup.fire(False)
        return 0

    cdef raises wake_senders(self) except -1:
        cdef object future
        cdef list waiting = self.senders
        if waiting is None:
            return 0
        self.client_came()
        self.senders = None
        for future in waiting:
            if not future.done():
                future.set_result(None)

    cdef raises discard(self) except -1:
        self.send = None
        self.receive = None

    cdef raises cancel(self) except -1:
        report(self.driver.logger, LOG_WARNING, "cancelled, because the server stops: %s %s",
               (self.method_name(), self.path_name()))
        self.task.cancel("the server stops")

    cdef int check(self, int result) except -1:
        if result < 0:
            raise application_error(result)
        return result

    cdef raises detach(self) except -1:
        cdef bint uncalled
        Exchange.detach(self)
        if not self.running:
            uncalled = not self.started or self.waits
            end_row(self)
            leave_place(self)
            if uncalled:
                self.forget_alarm()
                self.discard()   # the client broke it off before the application was called; nothing will call it now
        self.wake_receivers(False)
        self.wake_senders()

    cdef raises send_head(self, int status, object pairs, uint32_t flags, uint64_t length) except -1:
        """Hands a final head to the stream. Nothing has been sent when it raises, and another may follow."""
        cdef fs_field on_stack[FIELDS_ON_STACK]
        cdef fs_field *fields = on_stack
        cdef fs_response_head head
        cdef object room
        cdef Py_ssize_t n = PySequence_Fast_GET_SIZE(pairs)
        cdef int result
        if n > FIELDS_ON_STACK:
            if n > 65536:
                raise ValueError("more than 65536 response headers")
            room = PyBytes_FromStringAndSize(NULL, n * sizeof(fs_field))    # freed with this call, however it ends
            fields = <fs_field *>PyBytes_AS_STRING(room)
        collect_fields(pairs, fields, n)
        memset(&head, 0, sizeof(head))
        head.status = status
        head.fields = fields
        head.nfields = <uint32_t>n
        head.length = length
        head.flags = flags
        result = self.stream.ops.head(self.stream, &head)
        if result < 0:
            raise application_error(result)
        return 0


cdef void application_ended(object owner, Task task) noexcept:
    """Ends the exchange of a task that had suspended and is done now (called inside its last step)."""
    cdef ASGIExchange exchange = <ASGIExchange>owner
    cdef Driver driver = exchange.driver
    exchange.interface.working.discard(exchange)
    try:
        exchange.finished(task.outcome())
        exchange.discard()
        driver.check_idle()
    except BaseException as failure:
        report(driver.logger, LOG_CRITICAL, "internal error at the end of a request", (), failure)


async def call_application(application, scope, receive, send):
    await application(scope, receive, send)


async def as_coroutine(awaitable):
    """Wraps an awaitable: an application may return any, but a task runs coroutines only."""
    return await awaitable


cdef raises check_fields(object pairs) except -1:
    """Raises if a header is wrong: at the event that brings it, although its bytes are written only with the body."""
    cdef fs_field field
    cdef uint32_t id
    cdef int result
    cdef Py_ssize_t i
    for i in range(PySequence_Fast_GET_SIZE(pairs)):
        borrow_field(<object>PySequence_Fast_GET_ITEM(pairs, i), &field)
        result = fs_check_field(&field, &id)
        if result < 0:
            raise_of_field(<object>PySequence_Fast_GET_ITEM(pairs, i), result)
    return 0


cdef raises collect_fields(object pairs, fs_field *fields, Py_ssize_t n) except -1:
    """Borrows name and value of each pair: they live as long as `pairs`, which we hold while it is read."""
    cdef Py_ssize_t i
    for i in range(n):
        borrow_field(<object>PySequence_Fast_GET_ITEM(pairs, i), &fields[i])
    return 0


cdef inline raises borrow_field(object pair, fs_field *field) except -1:
    cdef PyObject *name
    cdef PyObject *value
    if type(pair) is tuple and PyTuple_GET_SIZE(pair) == 2:
        name = PyTuple_GET_ITEM(pair, 0)
        value = PyTuple_GET_ITEM(pair, 1)
    elif type(pair) is list and PyList_GET_SIZE(pair) == 2:
        name = PyList_GET_ITEM(pair, 0)
        value = PyList_GET_ITEM(pair, 1)
    else:
        raise TypeError(f"a header is a pair of bytes, not {pair!r:.100}")
    if not PyBytes_Check(<object>name) or not PyBytes_Check(<object>value):
        raise TypeError(f"a header is a pair of bytes, not {pair!r:.100}")
    if PyBytes_GET_SIZE(<object>name) > 65536 or PyBytes_GET_SIZE(<object>value) > 16777216:
        raise ValueError(f"a header is too long: {pair!r:.100}")
    field.name = PyBytes_AS_STRING(<object>name)
    field.value = PyBytes_AS_STRING(<object>value)
    field.name_len = <uint32_t>PyBytes_GET_SIZE(<object>name)
    field.value_len = <uint32_t>PyBytes_GET_SIZE(<object>value)
    field.id = 0
    return 0


def cancel_abandoned(ASGIExchange exchange):
    """Cancels an application whose client has left and whose time is over."""
    cdef Task task = exchange.task
    exchange.alarm = None
    if task is None or not exchange.running or not exchange.unanswered():
        return
    report(exchange.driver.logger, LOG_INFO, "cancelled, because its client left %g seconds ago: %s %s",
           (exchange.driver.limits.timeout_client_gone / 1000.0, exchange.method_name(), exchange.path_name()))
    if exchange.connection is not None:
        exchange.connection.lose(FS_E_PEER_GONE)    # it had closed its half alone, and waits in vain
    task.cancel("the client has left")
