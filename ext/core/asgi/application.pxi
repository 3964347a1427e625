# An ASGI application, and what all of its calls share.

cdef enum:
    WARNINGS_MAX = 100          # an application may invent names


cdef extern from "slots.h":
    unsigned fs_type_version(object o)


cdef class ASGIApplication(Interface):
    """How an ASGI 3 application is called on an event loop, which watches the driver's descriptor."""

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

    @cython.final
    cdef raises warn_of_subprotocol(self, str name, str path) except -1:
        """Logs that a subprotocol is left out, with which the client would fail the connection (RFC 6455 section
        4.2.2)."""
        if name not in self.warned and len(self.warned) < WARNINGS_MAX:
            self.warned.add(name)
            report(self.driver.logger, LOG_WARNING, "an application has accepted a WebSocket with the subprotocol %r, which "
                   "the client does not offer; it is left out: %s", (name, path))

    @cython.final
    cdef inline bint may_nest(self) except -1:
        """Whether the application may run the loop within itself: nest_asyncio, which libraries apply at any time,
        patches the loop's class for that. A nested loop inside the driver would keep it from serving, since its
        callback cannot be entered again, so no step of the application may run there."""
        if fs_type_version(self.loop) != self.loop_version:
            self.look_at_loop()
        return self.nests

    @cython.final
    cdef raises look_at_loop(self) except -1:
        cdef object kind = type(self.loop)
        base = asyncio.BaseEventLoop
        self.nests = issubclass(kind, base) and (kind.run_forever is not base.run_forever
                                                 or kind.run_until_complete is not base.run_until_complete)
        self.loop_version = fs_type_version(self.loop)      # the lookups have given it a version

    cdef raises recycle(self, Exchange exchange) except -1:
        """Keeps an exchange whose call has ended within the driver's turn for another request, or lets it go."""
        raise NotImplementedError
