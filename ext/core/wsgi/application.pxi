# A WSGI application, and what all of its calls share.

cdef class WSGIApplication(Interface):
    """How a WSGI application is called, in threads and without an event loop.

    `watched`: another thread takes over when a call lasts; otherwise everything happens in the serving thread."""

    def __cinit__(self, application, *, unsigned threads=8, bint watched=True,
                  str root_path="", bint underscores=False, errors=None, str software="fastserve",
                  bint multiprocess=False):
        if threads < 1:
            raise ValueError("a WSGI application needs a thread")
        script_name = root_path.encode().decode("latin-1")
        self.application = application
        self.left_out = set()
        self.threads = Threads(threads, watched)
        self.environs = EnvironBuilder({
            "SCRIPT_NAME": script_name,
            "SERVER_SOFTWARE": software,
            "GATEWAY_INTERFACE": "CGI/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr if errors is None else errors,
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "wsgi.input": None,
        }, script_name, underscores)

    cdef raises attach(self, Driver driver) except -1:
        cdef int result
        Interface.attach(self, driver)
        self.threads.driver = driver
        self.threads.timed = driver.limits.timeout_threads or driver.limits.timeout_request or (
            driver.limits.timeout_response or driver.limits.timeout_response_idle)
        self.threads.open_home()
        result = fs_poller_open_wake(&driver.poller)
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    @property
    def wake_fd(self):
        return self.threads.home_write if self.threads.watched else self.driver.poller.wake_write

    def serve(self):
        self.threads.serve()

    def halt(self):
        self.threads.halt()

    def call_soon(self, call):
        self.threads.call_soon(call)

    def give_up(self):
        """Does what `Driver.cancel_requests` does, from any thread."""
        self.threads.enter()
        try:
            return self.cancel()
        finally:
            self.driver.access_log.flush()
            self.threads.leave()

    cdef raises wake(self) except -1:
        if not self.driver.polling:     # the leader itself comes round anyway
            self.threads.awake()

    cdef raises forget(self) except -1:
        self.threads.forget()

    cdef raises beat(self) except -1:
        self.threads.note_overdue()
        self.threads.show_queue()

    cdef Py_ssize_t busy(self) noexcept:
        return self.threads.running + (self.threads.first is not None or self.threads.later is not None)

    cdef int refusal(self, const fs_request_head *head) noexcept:
        """Trusts an announced length, so that nobody sends in vain what cannot be kept. The body is stored as it
        comes."""
        cdef Driver driver = self.driver
        cdef const fs_budget *files = &driver.files
        cdef uint64_t length = head.content_length if head.content_length > 0 else 1
        if length <= driver.limits.body_buffer and fs_budget_has(&driver.memory, length + FS_BUDGET_OBJECT):
            return FS_OK
        if files.most and length > files.most:
            return FS_E_NEVER_FITS
        return FS_OK if fs_budget_has(files, length) else FS_E_NO_ROOM

    @cython.final
    cdef raises leave_out(self, tuple pair, uint32_t id) except -1:
        """Logs, once for each name, that an application's header is not sent. `Connection: close` is obeyed, and not
        logged."""
        cdef object name = str(pair[0]).title()
        if name not in self.left_out and not says_close(pair, id):
            self.left_out.add(name)
            report(self.driver.logger, LOG_WARNING,
                   "the application sets the header %s, which is the server's own (PEP 3333): it is left out", (name,))

    cdef raises recycle(self, Exchange exchange) except -1:
        """Keeps an exchange that has served its request for another one, or lets it go."""
        raise NotImplementedError
