# The WSGI exchange (PEP 3333): environ, start_response and the iterable over one stream. It proceeds in steps: a call
# of the application, or as many pieces of its iterable as the client has room for. The relay's lock (threads.pxi) is
# held wherever the stream, the connection or the driver are touched, and never while the application's code runs.

cdef enum:
    PIECES_A_STEP = 256         # then others get their turn
    ROOM_LOOK = 1               # seconds until a waiting write() checks whether somebody still drives
    ALONE_LOOK_MS = 1000        # until a thread that waits alone checks for signals

cdef extern from "slots.h":
    object fs_owned(PyObject *result)
    bint fs_is_kept(PyObject *handle, Py_ssize_t held)
    bint fs_request_is_over(PyObject *exchange, PyObject *start_response, PyObject *write, Py_ssize_t known)
    Py_ssize_t fs_length_hint(PyObject *o) except -2

cdef extern from "Python.h":
    PyObject *call_vector "PyObject_Vectorcall" (PyObject *callable, PyObject **arguments, size_t n, PyObject *names)
    PyObject *next_piece "PyIter_Next" (PyObject *iterator)
    unsigned long PyThread_get_thread_ident()


cdef raises raise_pending() except -1:
    """Raises the exception that a C call has left; there may be none."""
    if PyErr_Occurred() != NULL:
        return -1
    return 0


cdef object raise_info(exc_info):
    raise exc_info[1].with_traceback(exc_info[2])


cdef object without_ours(trace):
    """Returns a traceback from the application's first frame on; unchanged if all frames are ours."""
    own = trace
    while own is not None and own.tb_frame.f_globals.get("__name__") == __name__:
        own = own.tb_next
    return trace if own is None else own


cdef object stack_of(unsigned long ident):
    """Returns a thread's stack as text; 0: no thread. The application's loaders may run, to read sources."""
    frame = sys._current_frames().get(ident) if ident else None
    if frame is None:
        return "  between two pieces of its answer"
    try:
        return "".join(traceback.format_stack(frame)).rstrip()
    except Exception as failure:
        return f"  in {frame.f_code.co_qualname}: its stack cannot be shown: {failure!r}"


@cython.final
cdef class WSGIExchange(ThreadedExchange):

    def __cinit__(self, WSGIApplication interface not None):
        self.interface = interface
        self.threads = interface.threads
        self.driver = interface.driver
        self.start_response = StartResponse.__new__(StartResponse, self)
        self.write = Write.__new__(Write)
        self.write.exchange = self
        self.early_hints = EarlyHints.__new__(EarlyHints)
        self.early_hints.exchange = self
        self.client_disconnected = ClientIsGone.__new__(ClientIsGone)
        self.client_disconnected.exchange = self
        if FS_DEBUG:
            live_objects["exchanges"] += 1

    def __dealloc__(self):
        if FS_DEBUG:
            live_objects["exchanges"] -= 1

    cdef raises clear(self) except -1:
        self.client = self.query = self.status = self.fields = self.said_length = None
        self.body = None
        self.started = self.disconnect_due = self.lost = self.body_ended = self.logged = self.counted = False
        self.paused = self.overdue = self.single = False
        self.since = self.awaiting_since = self.quiet_since = self.seen_sent = 0
        self.progress = WSGI_READING

    cdef raises discard(self) except -1:
        cdef EnvironBuilder environs = self.interface.environs
        self.start_response = None
        self.write = None
        environs.forget(self.early_hints)
        environs.forget(self.client_disconnected)
        self.early_hints = None
        self.client_disconnected = None

    # ---- the connection's side

    cdef raises begin(self, fs_request_head *head) except -1:
        cdef Driver driver = self.driver
        cdef EnvironBuilder environs = self.interface.environs
        self.environ = environs.build(head, self.connection, self.early_hints, self.client_disconnected)
        self.method = environs.method
        self.raw_path = environs.target.raw_path
        self.body_ended = (head.flags & FS_HEAD_END) != 0
        if driver.access_log.fd >= 0:
            self.query = environs.target.query
            self.client = (self.environ["REMOTE_ADDR"] or None,)
            self.version = head.version
            self.started_us = fs_monotonic_us()
        if self.body_ended:
            PyDict_SetItem(self.environ, "wsgi.input", BytesIO())
        else:
            self.expect_body(head)
        return 0

    cdef raises expect_body(self, fs_request_head *head) except -1:
        try:
            self.body = BodyStore.__new__(BodyStore, self.driver, head.content_length)
        except StorageError as error:
            self.unstored(error)
            return 0
        # The body is requested at once, whatever the application will do with it.
        if head.flags & FS_HEAD_EXPECT_CONTINUE and self.stream.ops.proceed(self.stream) < 0:
            raise MemoryError()

    cdef raises unstored(self, error) except -1:
        """Answers a request whose body cannot be stored: our own fault, and only this request's end."""
        report(self.driver.logger, LOG_ERROR, "a request body cannot be stored: %s: %s %s",
               (error.strerror, self.method_name(), self.path_name()))
        self.give_up_body(FS_E_STORAGE)

    cdef raises give_up_body(self, int error) except -1:
        cdef Connection connection = self.connection
        self.drop_call()
        if self.stream != NULL:
            connection.refuse_exchange(self, error)

    cdef raises no_room(self, int error) except -1:
        """Answers a request when the worker's files are full, and so is its memory."""
        cdef Driver driver = self.driver
        self.give_up_body(error)
        say_no_room(driver, error)

    cdef raises on_body(self, const char *p, size_t n, bint end) except -1:
        cdef int error
        try:
            error = self.body.add(p, n)
        except StorageError as failure:
            self.unstored(failure)
            return 0
        if error < 0:
            self.no_room(error)
            return 0
        self.stream.ops.consumed(self.stream, n)
        if end:
            self.on_end()

    cdef char *body_room(self, size_t wanted, size_t *given) except NULL:
        return self.body.room(wanted, given)

    cdef raises body_filled(self, size_t n, bint end) except -1:
        cdef int error
        try:
            error = self.body.filled(n)
        except StorageError as failure:
            self.unstored(failure)
            return 0
        if error < 0:
            self.no_room(error)
        elif end:
            self.on_end()

    cdef raises on_end(self) except -1:
        cdef BodyStore body = self.body
        self.body = None
        self.body_ended = True
        PyDict_SetItem(self.environ, "wsgi.input", body.input())
        if body.length < 0:
            # RFC 3875 section 4.1.2: the length after the transfer coding is removed. Django and others take a request
            # without it for one without a body.
            PyDict_SetItem(self.environ, "CONTENT_LENGTH", str(body.size))
        self.charged, body.charged = body.charged, 0
        if self.started:
            self.enqueue()

    cdef raises start(self) except -1:
        """Calls the application if the whole body has come."""
        self.started = True
        if self.body_ended:
            self.enqueue()

    cdef raises enqueue(self) except -1:
        self.progress = WSGI_CALL
        if not self.driver.queues or not is_held_back(self):
            self.admitted()

    cdef bint calls(self) noexcept:
        return self.progress == WSGI_CALL

    cdef raises admitted(self) except -1:
        self.since = self.driver.now
        self.threads.push(self)

    cdef bint wants_body(self) noexcept:
        return not self.body_ended

    cdef uint64_t due(self) noexcept:
        if self.driver.queues and self.progress == WSGI_CALL:
            return earliest(queue_due(self), self.application_due())
        return self.application_due()

    cdef raises on_disconnect(self) except -1:
        cdef Connection connection = self.connection
        self.disconnect_due = True
        if self.progress == WSGI_READING and not self.body_ended:
            # As if it were gone altogether; but it may still read, and gets 400.
            self.log(499)
            connection.refuse_exchange(self, FS_E_BODY_CUT)

    cdef raises on_lost(self) except -1:
        self.disconnect_due = self.lost = True
        if self.progress <= WSGI_CALL:
            self.drop_call()
        elif self.paused:
            self.paused = False
            self.progress = WSGI_CLOSE
            self.threads.push(self)
        self.make_room()

    cdef raises drop_call(self) except -1:
        """Drops an exchange whose application was not called, and never will be."""
        self.environ = None
        self.body = None
        self.progress = WSGI_DONE

    cdef raises on_writable(self) except -1:
        if self.paused:
            self.paused = False
            self.client_came()
            self.threads.push(self)
        self.make_room()

    cdef raises make_room(self) except -1:
        """Lets the thread go on that waits in write()."""
        room, self.room = self.room, None
        if room is not None:
            room.set()

    cdef raises on_overdue(self) except -1:
        cdef Driver driver = self.driver
        if driver.queues and self.progress == WSGI_CALL and is_late(self):
            return give_up_waiting(self)
        lateness = self.lateness()
        if lateness is None:
            return 0
        if self.progress == WSGI_CALL and self.ident == 0:
            self.drop_call()
            report(driver.logger, LOG_ERROR, "no thread was free within %g seconds: %s %s",
                   ((driver.limits.timeout_request or driver.limits.timeout_response) / 1000.0,
                    self.method_name(), self.path_name()))
            self.fail(FS_E_OVERLOADED)
            return 0
        self.overdue = self.ident != 0
        report(driver.logger, LOG_ERROR, "the application %s: %s %s\n%s",
               (lateness, self.method_name(), self.path_name(), stack_of(self.ident)))
        self.fail(FS_E_APP_TIMEOUT)

    cdef raises recycle(self) except -1:
        self.interface.recycle(self)

    cdef bint is_overdue(self) noexcept:
        """Whether the thread in its step is late: it has neither come back nor sent anything for too long. It does not
        matter whether the answer is complete, nor whether the client has left."""
        cdef const fs_limits *limits = &self.driver.limits
        cdef uint64_t quiet_ms
        if self.overdue:
            return True
        if self.stream != NULL and (self.awaiting_since or self.stream.body_sent != self.seen_sent):
            self.seen_us = self.driver.now_us       # it has sent something, or waits for its client
            self.seen_sent = self.stream.body_sent
        quiet_ms = (max(self.driver.now_us, self.seen_us) - self.seen_us) // 1000
        if limits.timeout_threads and quiet_ms >= limits.timeout_threads:
            return True
        # An answer that has begun may take its time.
        return (limits.timeout_request and quiet_ms >= limits.timeout_request
                and (self.stream == NULL or not self.stream.head_sent))

    cdef raises detach(self) except -1:
        Exchange.detach(self)
        if self.ident == 0:
            end_row(self)
            if self.progress <= WSGI_CALL:
                self.drop_call()
            if self.progress == WSGI_DONE:
                leave_place(self)
        if self.paused:
            self.paused = False
            self.progress = WSGI_CLOSE
            self.threads.push(self)
        self.make_room()
        if self.progress == WSGI_DONE and not self.queued and self.ident == 0:
            self.discard()       # it never had a step, which would have kept or discarded it

    # ---- a step

    cdef void perform(self) noexcept:
        """Runs one step in the application. The lock is held before and after."""
        self.ident = PyThread_get_thread_ident()
        try:
            if self.progress == WSGI_CALL:
                if self.driver.queues and is_late(self):
                    self.refuse_late()
                else:
                    self.call()
            if self.progress == WSGI_PULL:
                self.pull()
        except BaseException as failure:
            self.failed(failure)
        if self.progress == WSGI_CLOSE:
            self.close_iterable()
        self.ident = 0
        if self.stream == NULL:
            end_row(self)
            if self.progress == WSGI_DONE:
                leave_place(self)

    cdef raises refuse_late(self) except -1:
        """Refuses a request for which a thread became free too late. The turn follows here, as after a call."""
        cdef Connection connection = self.connection
        self.drop_call()
        if connection is None:
            return 0
        connection.hold()
        try:
            give_up_waiting(self)
        finally:
            connection.unhold()
        self.give_turn(connection)

    cdef raises call(self) except -1:
        cdef PyObject *arguments[2]
        cdef PyObject *result
        cdef dict environ = self.environ
        self.environ = None
        self.progress = WSGI_CLOSE
        arguments[0] = <PyObject *>environ
        arguments[1] = <PyObject *>self.start_response
        self.threads.leave()
        result = call_vector(<PyObject *>self.interface.application, arguments, 2, NULL)
        if result != NULL:
            environ = None      # what the application has put there is freed outside the lock
        self.threads.enter()
        self.iterable = fs_owned(result)
        self.answer(self.iterable)

    cdef raises answer(self, object result) except -1:
        cdef Py_ssize_t n
        cdef object piece
        if self.stream == NULL:
            return 0
        if type(result) is list or type(result) is tuple:
            n = PySequence_Fast_GET_SIZE(result)
            if n == 1:
                piece = <object>PySequence_Fast_GET_ITEM(result, 0)
                if type(piece) is bytes:
                    return self.answer_whole(piece)
            self.single = n == 1
        elif type(result) is FileWrapper:
            if self.answer_file(result):
                return 0
        else:
            self.threads.leave()
            try:
                self.single = fs_length_hint(<PyObject *>result) == 1
            finally:
                self.threads.enter()
        self.threads.leave()
        try:
            self.iterator = iter(result)
        finally:
            self.threads.enter()
        self.progress = WSGI_PULL

    cdef raises answer_whole(self, bytes body) except -1:
        """Sends the commonest answer by far: a list of one piece, which leaves with its head."""
        if not self.stream.head_sent:
            self.write_head(True, PyBytes_GET_SIZE(body))
        self.iterable = None        # neither a list nor a tuple has a close()
        self.progress = WSGI_DONE
        if self.after_body(self.stream.ops.body(self.stream, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body),
                                                <void *>body, 1)):
            self.completed()

    cdef int answer_file(self, FileWrapper wrapper) except -1:
        """Sends a file. Returns 1 if the kernel sends it, 0 if it has to be read."""
        cdef OpenFile file
        cdef uint64_t size
        cdef int64_t offset
        self.threads.leave()
        try:
            found = file_range(wrapper.filelike)
        finally:
            self.threads.enter()
        if found is None or self.stream == NULL:
            return found is not None
        file, offset, size = found
        said = "" if self.said_length is None else str.strip(self.said_length, " \t")    # a subclass may have its own
        if said.isdecimal():
            size = min(size, <uint64_t>int(said))
        if not self.stream.head_sent:
            self.write_head(True, size)
        if self.after_body(self.stream.ops.file(self.stream, file.fd, offset, size, <void *>file, 1)):
            self.completed()
        return 1

    cdef int pull(self) except -1:
        """Passes pieces on until the iterable ends, the client has no more room, or others have their turn."""
        cdef int left = PIECES_A_STEP
        cdef Connection connection = self.connection
        cdef PyObject *raw
        cdef object piece
        while True:
            if self.stream != NULL and connection.must_wait(self) and self.stream != NULL:
                self.paused = True
                self.await_client()
                return 0
            if self.stream == NULL:
                self.progress = WSGI_CLOSE      # the client left, or the server already answered (timeout)
                return 0
            if self.stream.bodiless and self.stream.head_sent:
                return self.end_body()
            if left == 0:
                return self.threads.postpone(self)
            left -= 1
            self.threads.leave()
            raw = next_piece(<PyObject *>self.iterator)
            self.threads.enter()
            if raw == NULL:
                raise_pending()
                self.progress = WSGI_CLOSE
                return self.end_body() if self.stream != NULL else 0
            piece = fs_owned(raw)
            if not PyBytes_Check(piece):
                raise TypeError(f"a piece of the body is bytes, not {type(piece).__name__}")
            if PyBytes_GET_SIZE(piece) and self.stream != NULL:
                self.send_piece(piece)

    cdef raises send_piece(self, bytes piece) except -1:
        if not self.stream.head_sent:
            self.write_head(self.single, PyBytes_GET_SIZE(piece))
        if self.after_body(self.stream.ops.body(self.stream, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece),
                                                <void *>piece, 0)):
            self.leave_soon()

    cdef int after_body(self, int result) except -1:
        """Checks the result of writing a piece. Returns 1 if all went well; else logs why and breaks the answer off."""
        if result >= 0:
            return 1
        count_error(self.driver, result)
        report(self.driver.logger, LOG_ERROR, "broken response: %s: %s %s",
               (fs_error_describe(result).text.decode(), self.method_name(), self.path_name()))
        if self.stream != NULL:
            if not self.stream.ended:
                self.stream.ops.abort(self.stream, result)
            self.completed()
        return 0

    cdef raises end_body(self) except -1:
        self.progress = WSGI_CLOSE
        if not self.stream.head_sent:
            self.write_head(True, 0)
        if self.after_body(self.stream.ops.body(self.stream, "", 0, NULL, 1)):
            self.completed()

    cdef raises completed(self) except -1:
        """Ends the answer, which is queued or broken off: the connection goes on without this exchange."""
        cdef Connection connection = self.connection
        if self.threads.relay.depth > 1:
            connection.response_ended(self)     # which schedules the turn
            self.driver.schedule(connection)
            return 0
        connection.hold()        # its turn follows at once
        try:
            connection.response_ended(self)
        finally:
            connection.unhold()
        if self.progress == WSGI_DONE:
            self.following = connection     # the same exchange then serves its next request (Threads.step)
        else:
            self.give_turn(connection)

    cdef raises give_turn(self, Connection connection) except -1:
        """Sends what is queued, at once or a little later, and looks for the connection's next request."""
        cdef Driver driver = self.driver
        cdef Threads threads = self.threads
        # What follows in this step, a close() say, may last as long as it likes.
        cdef bint before = driver.let_turns_wait(threads.defers_within(self.worker) and self.ident == PyThread_get_thread_ident())
        connection.turn()
        driver.let_turns_wait(before)

    cdef raises leave_soon(self) except -1:
        """Sends a piece before the next one is requested. If somebody else would send it in case that one takes long,
        it leaves together with the next."""
        cdef Connection connection = self.connection
        if self.threads.relay.depth > 1:
            self.driver.schedule(connection)    # a destructor writes, perhaps within this very connection's turn
        elif self.threads.defers_within(self.worker) and self.leads():
            self.driver.defer(connection)
        else:
            connection.end_turn()

    cdef bint leads(self) noexcept:
        """Whether this thread runs its step, and leads. A thread of the application's own may write too."""
        return self.threads.leads(self.worker) and self.ident == PyThread_get_thread_ident()

    cdef raises write_head(self, bint end, uint64_t length) except -1:
        cdef fs_field on_stack[FIELDS_ON_STACK]
        cdef fs_field *fields = on_stack
        cdef fs_response_head head
        cdef object room
        cdef Py_ssize_t i, n
        cdef int result
        if self.status is None:
            raise RuntimeError("the application has not called start_response")
        n = PyTuple_GET_SIZE(self.fields)
        if n > FIELDS_ON_STACK:
            room = PyBytes_FromStringAndSize(NULL, n * sizeof(fs_field))
            fields = <fs_field *>PyBytes_AS_STRING(room)
        for i in range(n):
            borrow_text(<object>PyTuple_GET_ITEM(self.fields, i), &fields[i])
        memset(&head, 0, sizeof(head))
        head.status = self.code
        if PyUnicode_GET_LENGTH(self.status) > 3 and (self.code != 200 or PyUnicode_GET_LENGTH(self.status) != 6):
            head.reason.p = <const char *>PyUnicode_DATA(self.status) + 4
            head.reason.n = PyUnicode_GET_LENGTH(self.status) - 4
        head.fields = fields
        head.nfields = <uint32_t>n
        head.length = length
        head.flags = FS_RESPONSE_END if end else 0
        result = self.stream.ops.head(self.stream, &head)
        if result < 0:
            raise application_error(result)

    cdef void failed(self, object failure) noexcept:
        """Logs the application's exception, once, with method and path."""
        cdef Connection connection = self.connection
        self.progress = WSGI_CLOSE
        self.threads.leave()
        if self.lost and caused_by_disconnect(failure):
            report(self.driver.logger, LOG_DEBUG, "the client left: %s %s", (self.method_name(), self.path_name()))
        else:
            report(self.driver.logger, LOG_ERROR, "exception in WSGI application: %s %s",
                   (self.method_name(), self.path_name()),
                   (type(failure), failure, without_ours(failure.__traceback__)))
        self.threads.enter()
        if self.stream == NULL:
            count_error(self.driver, FS_E_APP_RAISED)
            return
        try:
            connection.hold()
            try:
                self.fail(FS_E_APP_RAISED)
            finally:
                connection.unhold()
            self.give_turn(connection)
        except BaseException as internal:
            connection.broken(internal)     # nobody goes on with it

    cdef void close_iterable(self) noexcept:
        cdef bint raised = False
        iterable = self.iterable
        self.iterable = self.iterator = None
        self.progress = WSGI_DONE
        self.threads.leave()
        try:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        except BaseException as failure:
            report(self.driver.logger, LOG_ERROR, "exception in close() of a WSGI application: %s %s",
                   (self.method_name(), self.path_name()), failure)
            raised = True
        iterable = close = None
        self.threads.enter()
        if raised:
            count_error(self.driver, FS_E_APP_RAISED)

    # ---- the application's side; without the lock

    cdef object handle_start(self, object status, object headers, object exc_info):
        cdef Py_ssize_t i
        cdef uint32_t id
        cdef tuple fields
        cdef object said = None
        cdef bint head_sent
        cdef int code
        if not WSGI_CALL < self.progress < WSGI_DONE:
            raise RuntimeError("the request is over")
        if self.status is not None:
            if exc_info is None:
                raise RuntimeError("start_response was called already; again only with exc_info (PEP 3333)")
            self.threads.enter()
            head_sent = self.stream == NULL or self.stream.head_sent
            self.threads.leave()
            if head_sent:
                try:
                    raise_info(exc_info)
                finally:
                    exc_info = None     # PEP 3333: the traceback refers to this very frame
        code = status_code(status)
        if type(headers) is not list and not isinstance(headers, list):
            raise TypeError(f"headers are a list, not {type(headers).__name__}")
        fields = tuple(headers)
        for i in range(PyTuple_GET_SIZE(fields)):
            id = check_text_field(<object>PyTuple_GET_ITEM(fields, i))
            if id == FS_FIELD_CONTENT_LENGTH:
                said = fields[i][1]
            elif is_hop_by_hop(id):
                self.interface.leave_out(fields[i], id)
        self.code = code
        self.said_length = said
        self.fields = fields
        self.status = status
        return self.write

    cdef raises handle_write(self, object data) except -1:
        cdef Connection connection
        if type(data) is not bytes and not isinstance(data, bytes):
            raise TypeError(f"write() takes bytes, not {type(data).__name__}")
        self.threads.enter()
        try:
            if self.stream == NULL:
                if self.lost or self.overdue:
                    raise ClientDisconnected("the client has disconnected")
                raise RuntimeError("the request is over")
            if PyBytes_GET_SIZE(data):
                self.send_piece(data)
            connection = self.connection
            if connection is not None and connection.must_wait(self) and self.threads.relay.depth == 1:
                self.await_client()
                self.wait_for_room()
                self.client_came()
        finally:
            self.threads.leave()

    cdef raises wait_for_room(self) except -1:
        """Waits in write(), which can report a slow client only by not returning. Looks again now and then, since the
        thread that should report room may have ended."""
        cdef Threads threads = self.threads
        self.driver.finish_batch()      # this connection's deadline may be the earliest of all
        while self.stream != NULL and self.connection.unsent_of(self) > self.driver.limits.low_water:
            if not threads.watched or not threads.is_driven(self.worker if self.leads() else 0):
                return self.wait_alone()
            if self.room is None:
                self.room = threading.Event()
                continue        # the garbage collection may have run the application's code: look again
            room = self.room
            threads.leave()
            try:
                if room.wait(ROOM_LOOK):
                    return 0
            finally:
                threads.enter()
        self.room = None

    cdef raises wait_alone(self) except -1:
        """Serves this connection alone until it has room, when nobody else can drive."""
        cdef Connection connection = self.connection
        cdef Driver driver = self.driver
        cdef pollfd waiting
        cdef int timeout_ms
        if connection is None:
            return 0
        driver.send_deferred()      # this connection may be among them
        connection.end_turn()
        while self.stream != NULL and connection.unsent_of(self) > driver.limits.low_water:
            waiting.fd = connection.fd
            waiting.events = ((POLLOUT if backlog(connection) else 0)
                              | (POLLIN if connection.session.room_is_read() else 0))
            timeout_ms = ALONE_LOOK_MS
            if connection.deadline:
                timeout_ms = <int>min(<uint64_t>timeout_ms, max(connection.deadline, driver.now) - driver.now)
            self.threads.leave()
            with nogil:
                c_poll(&waiting, 1, timeout_ms)
            self.threads.enter()
            driver.clock()
            PyErr_CheckSignals()
            if self.stream != NULL:
                if waiting.events & POLLIN:
                    connection.ready(FS_READABLE)
                else:
                    connection.end_turn()
            if self.stream != NULL and connection.deadline and driver.now >= connection.deadline:
                deadline_passed(connection)

    cdef bint client_is_gone(self) except -1:
        """Whether nobody waits for the answer any more. The driver knows, except in the only thread, where nobody
        drives."""
        cdef Connection connection
        if self.disconnect_due or self.overdue or self.threads.watched or self.stream == NULL:
            return self.disconnect_due or self.overdue
        self.threads.enter()
        try:
            connection = self.connection
            return connection is not None and connection.session.client_left(self, self.threads.relay.depth == 1)
        finally:
            self.threads.leave()

    cdef raises handle_hints(self, object headers) except -1:
        cdef fs_field fields[FIELDS_ON_STACK]
        cdef Py_ssize_t i
        cdef uint32_t id
        cdef tuple pairs = tuple(headers)
        if PyTuple_GET_SIZE(pairs) > FIELDS_ON_STACK:
            raise ValueError(f"more than {FIELDS_ON_STACK} headers in early hints")
        for i in range(PyTuple_GET_SIZE(pairs)):
            id = check_text_field(<object>PyTuple_GET_ITEM(pairs, i))
            if is_hop_by_hop(id):
                self.interface.leave_out(pairs[i], id)
            borrow_text(<object>PyTuple_GET_ITEM(pairs, i), &fields[i])
        self.threads.enter()
        try:
            if self.stream == NULL:
                return 0        # there is nobody to hint to
            result = self.stream.ops.informational(self.stream, 103, fields, <uint32_t>PyTuple_GET_SIZE(pairs))
            if result < 0:
                raise application_error(result)
            self.leave_soon()
        finally:
            self.threads.leave()


@cython.final
cdef class StartResponse:

    def __cinit__(self, WSGIExchange exchange not None):
        self.vectorcall = <void *>start_response_vectorcall
        self.exchange = exchange

    def __call__(self, status, headers, exc_info=None):
        return self.exchange.handle_start(status, headers, exc_info)

    def __repr__(self):
        return "<fastserve start_response>"


cdef object start_response_vectorcall(object self, PyObject **arguments, size_t nargs, PyObject *names):
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargs)
    if names == NULL and n == 2:
        return (<StartResponse>self).exchange.handle_start(<object>arguments[0], <object>arguments[1], None)
    return start_response_call(self, arguments, n, names)


cdef object start_response_call(StartResponse self, PyObject **arguments, Py_ssize_t n, PyObject *names):
    """Handles a call with exc_info, or by keywords."""
    cdef list given = [<object>arguments[i] for i in range(n)]
    cdef dict named = {}
    if names != NULL:
        for i, name in enumerate(<tuple>names):
            named[name] = <object>arguments[n + i]
    status, headers, exc_info = start_response(*given, **named)
    return self.exchange.handle_start(status, headers, exc_info)


def start_response(status, headers, exc_info=None):
    """Binds the arguments of such a call, or raises as Python does."""
    return status, headers, exc_info


@cython.final
cdef class Write:

    def __call__(self, data):
        self.exchange.handle_write(data)

    def __repr__(self):
        return "<fastserve write>"


@cython.final
cdef class ClientIsGone(Handle):

    def __call__(self):
        return self.exchange.client_is_gone()

    def __repr__(self):
        return "<fastserve client_disconnected>"


@cython.final
cdef class EarlyHints(Handle):

    def __call__(self, headers):
        self.exchange.handle_hints(headers)

    def __repr__(self):
        return "<fastserve early_hints>"


cdef raises enable_start_response() except -1:
    # The offset is read off an instance, as for ASGI's callables.
    cdef WSGIApplication interface = WSGIApplication(None, threads=1, watched=False)
    cdef StartResponse start = StartResponse.__new__(StartResponse, WSGIExchange.__new__(WSGIExchange, interface))
    fs_enable_vectorcall(StartResponse, <char *>&start.vectorcall - <char *><PyObject *>start)
    start.exchange.discard()
    return 0


enable_start_response()
