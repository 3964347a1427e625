# How an ASGI application is called: what is the same for all its requests.

cdef enum:
    WARNINGS_MAX = 100          # an application may make names up


cdef extern from "slots.h":
    unsigned fs_type_version(object o)


@cython.final
cdef class ASGI(Interface):
    """Calls an ASGI 3 application on an event loop, which watches the driver's descriptor."""

    def __cinit__(self, application, *, loop, str root_path="", state=None, bint websocket=True, bint deflate=True,
                  bint underscores=False, extensions=("http.response.early_hint", "http.response.trailers")):
        self.application = application
        self.loop = loop
        self.runner = InlineRunner(loop)
        self.offered = frozenset(extensions)
        if not self.offered <= set(EXTENSIONS):
            raise ValueError(f"not an extension: {sorted(self.offered - set(EXTENSIONS))[0]!r}")
        self.scopes = ScopeBuilder(root_path, state, underscores, self.offered)
        self.working = set()
        self.warned = set()
        self.websocket = websocket
        self.deflate = deflate and fs_ws_deflate_available

    cdef raises attach(self, Driver driver) except -1:
        Interface.attach(self, driver)
        self.ws_shared.limits = &driver.limits
        self.ws_shared.allocator = &fs_system_allocator
        self.ws_shared.messages = &fs_bytes_allocator
        self.ws_shared.memory = &driver.memory

    def start(self):
        self.loop.add_reader(self.driver.poller.fd, self.driver.poll)

    cdef raises detach(self) except -1:
        if self.driver is not None and not self.loop.is_closed():
            self.loop.remove_reader(self.driver.poller.fd)
        self.driver = None

    cdef bint takes_websockets(self) noexcept:
        return self.websocket

    cdef raises wake(self) except -1:
        if not self.loop.is_closed():
            self.loop.call_soon(self.driver.sweep)

    cdef Py_ssize_t busy(self) noexcept:
        return len(self.working)

    cdef Py_ssize_t cancel(self) except -1:
        cdef ASGIExchange exchange
        working = list(self.working)
        for exchange in working:
            exchange.cancel()
        return len(working) + refuse_queue(self.driver)

    cdef raises forget(self) except -1:
        cdef ASGIExchange exchange
        for exchange in self.working:
            exchange.row = NULL
        try:
            self.loop.call_soon(self.driver.came_back)
        except RuntimeError:
            pass        # it is closed, or in debug mode and the fork another thread's: nobody comes back to it

    cdef raises warn_of_subprotocol(self, str name, str path) except -1:
        """RFC 6455 section 4.2.2: it is left out, since the client would have to fail the connection."""
        if name not in self.warned and len(self.warned) < WARNINGS_MAX:
            self.warned.add(name)
            report(self.driver.logger, LOG_WARNING, "An application has accepted a WebSocket with the subprotocol %r, which "
                   "the client does not offer; it is left out: %s", (name, path))

    cdef Exchange open(self, const fs_request_head *head):
        cdef HTTPExchange exchange = self.spare
        if head.flags & FS_HEAD_UPGRADE_WEBSOCKET and self.websocket:
            return WebSocketExchange.__new__(WebSocketExchange, self)
        if exchange is None:
            return HTTPExchange.__new__(HTTPExchange, self)
        self.spare = None
        return exchange

    cdef raises give(self, ASGIExchange exchange) except -1:
        """Keeps it for the next request, where the application kept neither `send` nor `receive`."""
        if (self.spare is None and type(exchange) is HTTPExchange
                and fs_exchange_is_free(<PyObject *>exchange, <PyObject *>exchange.send, <PyObject *>exchange.receive, 3)):
            (<HTTPExchange>exchange).reset()
            self.spare = <HTTPExchange>exchange
        else:
            exchange.let_go()

    cdef raises clear(self) except -1:
        if self.spare is not None:
            self.spare.let_go()
            self.spare = None

    cdef inline bint may_nest(self) except -1:
        """Whether the application may run the loop within itself: nest_asyncio, which libraries apply at any time, patches the
        loop's class so that it can. What runs inside of the driver then keeps it from serving, and its callback cannot be entered
        again, so no step of the application may run there."""
        if fs_type_version(self.loop) != self.loop_version:
            self.look_at_loop()
        return self.nests

    cdef raises look_at_loop(self) except -1:
        cdef object kind = type(self.loop)
        base = asyncio.BaseEventLoop
        self.nests = issubclass(kind, base) and (kind.run_forever is not base.run_forever
                                                 or kind.run_until_complete is not base.run_until_complete)
        self.loop_version = fs_type_version(self.loop)      # the looks have given it one

    cdef raises run_by_the_loop(self, ASGIExchange exchange) except -1:
        """Calls the application in a task like any other."""
        cdef dict scope = exchange.request_scope
        cdef Task task
        exchange.request_scope = None
        task = Task(call_application(self.application, scope, exchange.receive, exchange.send), loop=self.loop,
                    context=self.runner.base.copy())
        exchange.task = task
        self.working.add(exchange)
        task.watch(exchange, application_ended)

    cdef raises run(self, ASGIExchange exchange) except -1:
        """Calls the application and runs its first step here and now. One that never suspends costs the loop nothing."""
        cdef Driver driver = self.driver
        cdef Task task
        cdef dict scope = exchange.request_scope
        cdef bint idle_stack
        if self.may_nest():
            return self.run_by_the_loop(exchange)
        exchange.request_scope = None
        idle_stack = driver.enter_application()
        try:
            coroutine = self.application(scope, exchange.receive, exchange.send)
            scope = None        # the application's alone
            if not PyCoro_CheckExact(coroutine) and not asyncio.iscoroutine(coroutine):
                coroutine = as_coroutine(coroutine)
            task = self.runner.run(coroutine)
            coroutine = None
        except BaseException as failure:
            driver.leave_application(idle_stack)
            exchange.finished(failure)
            self.give(exchange)
            return 0
        driver.leave_application(idle_stack)
        if task is None:
            exchange.finished(self.runner.take_failure() if self.runner.failure is not None else None)
            self.give(exchange)
            return 0
        exchange.task = task
        self.working.add(exchange)
        task.watch(exchange, application_ended)


cdef void application_ended(object owner, Task task) noexcept:
    """A task that had suspended is done (called inside its last step)."""
    cdef ASGIExchange exchange = <ASGIExchange>owner
    cdef Driver driver = exchange.driver
    exchange.interface.working.discard(exchange)
    try:
        exchange.finished(task.outcome())
        exchange.let_go()
        driver.check_idle()
    except BaseException as failure:
        report(driver.logger, LOG_CRITICAL, "Internal error at the end of a request", (), failure)


async def call_application(application, scope, receive, send):
    await application(scope, receive, send)


async def as_coroutine(awaitable):
    """An application may return any awaitable; a task runs coroutines."""
    return await awaitable
