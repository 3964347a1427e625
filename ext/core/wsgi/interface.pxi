# How a WSGI application is called: what is the same for all its requests.

cdef enum:
    SPARES_MAX = 64             # exchanges that are kept for further requests


@cython.final
cdef class WSGI(Interface):
    """Calls a WSGI application in threads, without an event loop.

    `watched`: another thread takes over when a call lasts; without it everything happens in the thread that serves."""

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
        """What `Driver.cancel_requests` does, from any thread."""
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

    cdef Py_ssize_t cancel(self) except -1:
        """A thread cannot be cancelled: what it answers has nowhere to go from here on."""
        cdef Driver driver = self.driver
        cdef Exchange exchange
        count = 0
        for connection in all_connections(driver):
            for exchange in (<Connection>connection).exchanges():
                if exchange.started:
                    count += 1
                    report(driver.logger, LOG_WARNING, "Given up, because the server stops: %s %s",
                           (exchange.method_name(), exchange.path_name()))
                    (<WSGIExchange>exchange).overdue = (<WSGIExchange>exchange).ident != 0
                    exchange.fail(FS_E_STOPPED)
        return count

    cdef int refusal(self, const fs_request_head *head) noexcept:
        """What is announced is believed, so that nobody sends in vain what cannot be kept. It is taken as it comes."""
        cdef Driver driver = self.driver
        cdef const fs_budget *files = &driver.files
        cdef uint64_t length = head.content_length if head.content_length > 0 else 1
        if length <= driver.limits.body_buffer and fs_budget_has(&driver.memory, length + FS_BUDGET_OBJECT):
            return FS_OK
        if files.most and length > files.most:
            return FS_E_NEVER_FITS
        return FS_OK if fs_budget_has(files, length) else FS_E_NO_ROOM

    cdef Exchange open(self, const fs_request_head *head):
        return WSGIExchange.__new__(WSGIExchange, self) if self.spare is None else self.take()

    cdef WSGIExchange take(self):
        cdef WSGIExchange exchange = self.spare
        self.spare = exchange.next
        self.spares -= 1
        exchange.next = None
        if FS_DEBUG:
            live_objects["exchanges"] += 1
        return exchange

    cdef raises give(self, WSGIExchange exchange) except -1:
        """Keeps it for another request, where the application kept nothing of it."""
        if (self.spares < SPARES_MAX
                and fs_request_is_over(<PyObject *>exchange, <PyObject *>exchange.start_response,
                                       <PyObject *>exchange.write, 5)
                and not fs_is_kept(<PyObject *>exchange.early_hints, exchange.early_hints.held)
                and not fs_is_kept(<PyObject *>exchange.client_disconnected, exchange.client_disconnected.held)):
            exchange.reset()
            exchange.next = self.spare
            self.spare = exchange
            self.spares += 1
            if FS_DEBUG:
                live_objects["exchanges"] -= 1      # the ledger is of those that serve somebody
        else:
            exchange.let_go()

    cdef raises leave_out(self, tuple pair, uint32_t id) except -1:
        """Says, once for each name, that a header of the application's is not sent. `Connection: close` is done and not said."""
        cdef object name = str(pair[0]).title()
        if name not in self.left_out and not says_close(pair, id):
            self.left_out.add(name)
            report(self.driver.logger, LOG_WARNING,
                   "The application sets the header %s, which is the server's own (PEP 3333): it is left out", (name,))

    cdef raises clear(self) except -1:
        while self.spare is not None:
            self.take().let_go()
        self.environs.clear()
