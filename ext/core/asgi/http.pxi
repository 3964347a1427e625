# The ASGI exchange (ASGI HTTP specification 2.5): scope, `receive` and `send` over one stream.
#
# Reading an event may run the application's code: a truth value, an iterator, a descriptor's fileno(), a destructor. So
# each event is first read whole, into references of our own, and the state is checked last, right before the write.

cdef enum Response:
    RESPONSE_NONE           # nothing but early hints so far
    RESPONSE_HELD           # http.response.start has come; the head waits HEAD_WAIT_MS for the first piece of the body
    RESPONSE_OPEN           # the head has gone without a body; the first piece is due
    RESPONSE_BODY           # the head has gone
    RESPONSE_PATH           # the body was a path: no other event may follow
    RESPONSE_TRAILERS       # the body has ended, trailers are due
    RESPONSE_DONE

# In ASGI the head waits for the first piece of the body: a complete answer then gets its length and leaves in one send,
# and an exception before it is a 500. But a browser's EventSource opens when the head arrives, and an application that
# waits for an event which a page publishes only then would wait for ever. So if an application sends its start and then
# waits, the head leaves.
cdef enum:
    HEAD_WAIT_MS = 20

cdef uint64_t NEVER = <uint64_t>-1


cdef raises view_event(dict event, EventView *view) except -1:
    """Reads an event in one pass. An application's keys are literals and so interned: addresses tell them apart. An
    unknown key, or a known one that is not interned, makes it look each key up."""
    cdef Py_ssize_t at = 0
    cdef PyObject *name
    cdef PyObject *value
    cdef Py_ssize_t left = PyDict_Size(event)
    memset(view, 0, sizeof(EventView))
    while left and PyDict_Next(event, &at, &name, &value):
        left -= 1
        if name == <PyObject *>"type":
            view.type = value
        elif name == <PyObject *>"body":
            view.body = value
        elif name == <PyObject *>"more_body":
            view.more_body = value
        elif name == <PyObject *>"status":
            view.status = value
        elif name == <PyObject *>"headers":
            view.headers = value
        elif name == <PyObject *>"trailers":
            view.trailers = value
        else:
            view.type = PyDict_GetItemWithError(event, "type")
            view.body = PyDict_GetItemWithError(event, "body")
            view.more_body = PyDict_GetItemWithError(event, "more_body")
            view.status = PyDict_GetItemWithError(event, "status")
            view.headers = PyDict_GetItemWithError(event, "headers")
            view.trailers = PyDict_GetItemWithError(event, "trailers")
            return 0
    return 0


@cython.final
cdef class HTTPExchange(ASGIExchange):

    def __cinit__(self, ASGIApplication interface):
        give_callables(self)
        self.pieces = Pieces.__new__(Pieces)

    # ---- the connection's side

    cdef raises begin(self, fs_request_head *head) except -1:
        cdef ScopeBuilder scopes = self.interface.scopes
        self.request_scope = scopes.build(head, self.connection)
        self.method = scopes.method
        self.raw_path = scopes.target.raw_path
        self.body_ended = (head.flags & FS_HEAD_END) != 0
        self.wants_continue = (head.flags & FS_HEAD_EXPECT_CONTINUE) != 0
        if not self.body_ended:
            self.versions = <dict>PyDict_GetItemWithError(self.request_scope, "asgi")
        self.log_begin(head, self.request_scope)
        return 0

    cdef raises clear(self) except -1:
        """Prepares for another request; `send` and `receive` stay."""
        self.query = self.client = self.fields = self.versions = None
        self.started = self.disconnect_due = self.left = self.lost = self.cut = self.body_ended = self.wants_continue = False
        self.counted = False
        self.end_given = self.listens = self.trailers = self.trailers_given = False
        self.broken = 0
        self.since = self.awaiting_since = self.quiet_since = 0
        self.response = RESPONSE_NONE

    cdef bint wants_body(self) noexcept:
        # A client may wait for the head before it goes on.
        return self.receiver is not None and not self.body_ended and not self.holds_head()

    cdef raises on_body(self, const char *p, size_t n, bint end) except -1:
        self.pieces.add(p, n)
        self.came(n, end)

    cdef char *body_room(self, size_t wanted, size_t *given) except NULL:
        given[0] = wanted
        return self.pieces.room(wanted)

    cdef raises body_filled(self, size_t n, bint end) except -1:
        self.pieces.filled(n)
        if n:
            self.came(n, end)

    cdef raises came(self, size_t n, bint end) except -1:
        cdef bint awaited = self.receiver is not None or self.taking
        self.held += n
        if end:
            self.body_ended = True
        self.wants_continue = False
        self.wake_receivers(True)
        if self.held and charge(self, self.pieces.cost, awaited) < 0:
            self.no_room()

    cdef raises no_room(self) except -1:
        """Refuses a piece that nobody waits for, since the worker holds as much as it may. An application that has not
        been called yet is not called, as with too many requests."""
        cdef bint uncalled = not self.started
        cdef Driver driver = self.driver
        self.started = True
        self.connection.refuse_exchange(self, FS_E_NO_ROOM)
        if uncalled:
            self.discard()
        say_no_room(driver, FS_E_NO_ROOM)

    cdef raises on_end(self) except -1:
        self.body_ended = True
        self.wake_receivers(True)

    cdef raises on_disconnect(self) except -1:
        self.disconnect_due = True
        self.client_left()
        self.wake_receivers(False)

    cdef raises on_stop(self) except -1:
        """Makes `receive` say that it is time to end, and `send` too if the application of a stream does not listen."""
        self.disconnect_due = True
        if self.receiver is None and not self.listens and self.stream != NULL and self.stream.head_sent:
            self.cut = True
            self.wake_senders()
        self.wake_receivers(False)

    cdef raises on_lost(self) except -1:
        self.disconnect_due = self.lost = self.cut = True
        self.client_left()
        self.wake_receivers(False)
        self.wake_senders()

    cdef raises on_refused(self) except -1:
        # The application sees a client that has gone; what it still sends has nowhere to go. If it was not called yet,
        # it is called all the same: how the bytes were cut must not decide what it sees.
        self.on_lost()
        if not self.started:
            self.start()

    cdef uint64_t due(self) noexcept:
        if self.waits:
            return queue_due(self)
        if not self.holds_head():
            return self.application_due()
        if self.held_since == 0:
            self.held_since = self.driver.now
        return self.held_since + HEAD_WAIT_MS

    cdef raises on_overdue(self) except -1:
        cdef Task task = self.task
        if self.waits:
            return give_up_waiting(self) if is_late(self) else 0
        if self.holds_head():
            return self.release_head() if self.driver.now >= self.due() else 0
        lateness = self.lateness()
        if task is None or lateness is None:
            return 0
        report(self.driver.logger, LOG_ERROR, "the application %s: %s %s\n%s",
               (lateness, self.method_name(), self.path_name(), waiting_stack(task.get_coro())))
        self.fail(FS_E_APP_TIMEOUT)
        task.cancel("the application did not answer in time")

    cdef inline bint holds_head(self) noexcept:
        return self.response == RESPONSE_HELD and self.held_since != NEVER

    cdef raises release_head(self) except -1:
        """Sends the head without a piece of the body, whose length is unknown now."""
        cdef object fields = self.fields
        try:
            self.write_head(False, 0)
        except Exception:
            # Nobody here can be told. The first piece of the body will raise it, as if the head had waited for it.
            self.fields = fields
            self.response = RESPONSE_HELD
            self.held_since = NEVER
            return 0
        self.response = RESPONSE_OPEN
        self.connection.written()

    cdef raises detach(self) except -1:
        cdef object fields = self.fields    # dropped last: a destructor may send
        self.fields = None
        self.response = RESPONSE_DONE       # a task that the application left behind may still send: there is no stream
        self.pieces.clear()
        self.held = 0
        charge(self, 0, True)
        ASGIExchange.detach(self)

    cdef raises finished(self, object exception) except -1:
        """The application has returned or raised. Its exception is logged here, once, with method and path."""
        cdef int error = 0
        cdef bint failed = False
        self.running = False
        self.forget_alarm()
        end_row(self)
        if self.stream == NULL:
            leave_place(self)
        self.task = None
        if exception is not None:
            error = FS_E_APP_RAISED
            failed = self.log_failure(exception, self.cut or self.left)
            if failed and self.stream == NULL and not self.broken:
                count_error(self.driver, error)      # after its answer, which is not affected
        elif self.stream != NULL and not self.stream.ended and not self.lost and not self.disconnect_due:
            error = FS_E_APP_NO_RESPONSE
            report(self.driver.logger, LOG_ERROR, "ASGI application returned without %s: %s %s (%s)",
                   ("a response" if self.response <= RESPONSE_HELD else "completing its response",
                    self.method_name(), self.path_name(), self.sent_so_far()))
        if exception is None and self.broken:
            # The application swallowed what `send` raised.
            report(self.driver.logger, LOG_ERROR, "broken response: %s: %s %s",
                   (fs_error_describe(self.broken).text.decode(), self.method_name(), self.path_name()))
        if self.stream != NULL and self.left and not self.lost and not failed:
            self.dismiss()
        elif self.stream != NULL and not self.lost:
            if not failed and self.driver.gave_up and (self.disconnect_due or exception is not None):
                error = FS_E_STOPPED
            self.fail(error if error else FS_E_APP_NO_RESPONSE)

    cdef str sent_so_far(self):
        """Says for the log which messages have come: middleware that does not know a message may have swallowed it."""
        if self.response == RESPONSE_NONE:
            return "it has sent no http.response.start"
        if self.response == RESPONSE_HELD or self.response == RESPONSE_OPEN:
            return "it has sent http.response.start and nothing after it"
        if self.response == RESPONSE_TRAILERS:
            return "it has sent its body, and no http.response.trailers although it had announced them"
        return f"it has sent {self.stream.body_sent} bytes of its body, and none without more_body"

    cdef raises refuse_rest(self) except -1:
        """Ends a request whose application waited for a body that the client broke off. Frameworks would answer 500,
        but the client gets 400 if it still reads, and the log shows a client that has left, as if it were gone
        altogether."""
        cdef Connection connection = self.connection
        self.log(499)
        connection.refuse_exchange(self, FS_E_BODY_CUT)
        connection.written()

    cdef raises dismiss(self) except -1:
        """Ends a request whose client has closed its half, within its body or before its answer, and whose application
        has given it up. That counts as a client that has left, but it may still read."""
        if not self.stream.head_sent:
            self.log(499)
        count_error(self.driver, FS_E_PEER_GONE if self.body_ended else FS_E_BODY_CUT)
        self.fail(FS_E_BODY_CUT)

    # ---- the application's side: receive

    cdef dict next_event(self):
        """Returns the next event, or None if the application has to wait; then the client is asked for more."""
        cdef Connection connection = self.connection
        cdef size_t held
        cdef object body
        cdef bint more
        if self.held == 0 and not self.body_ended and not self.disconnect_due and connection is not None:
            self.taking = True
            if connection.pull(self):
                connection = self.connection
            self.taking = False
        held = self.held
        if held or (self.body_ended and not self.end_given):
            body = self.pieces.take()
            more = not self.body_ended
            self.end_given = not more
            if self.end_given and self.versions is not None:
                PyDict_SetItem(self.versions, "spec_version", "2.3")    # from now on it should listen: see ScopeBuilder
                self.versions = None
            self.held = 0
            if self.charged:
                charge(self, 0, True)
            if self.stream != NULL and held:
                self.stream.ops.consumed(self.stream, held)
            if connection is not None:
                connection.want_body(self)
            return {"type": "http.request", "body": body, "more_body": more}
        if self.body_ended:
            self.listens = True
        if self.disconnect_due or connection is None:
            if self.left and not self.lost and not self.body_ended and self.stream != NULL and not self.stream.head_sent:
                self.refuse_rest()
            return {"type": "http.disconnect"}
        if self.wants_continue:
            self.wants_continue = False
            if self.stream.ops.proceed(self.stream) < 0:
                raise MemoryError()
            connection.written()
        connection.want_body(self)
        return None

    # ---- the application's side: send

    cdef object handle_send(self, object event):
        cdef EventView view
        cdef PyObject *kind
        if not PyDict_Check(event):
            raise TypeError(f"send() takes an event as a dict, not {type(event).__name__}")
        view_event(event, &view)
        kind = view.type
        if kind == NULL:
            raise ValueError("the event has no 'type'")
        if self.cut:
            raise self.disconnected()
        if kind == <PyObject *>self.interface.body_type:
            return self.send_body(event, &view)
        if kind == <PyObject *>self.interface.start_type:
            return self.start_response(event, &view)
        if is_text(<object>kind, "http.response.body"):
            self.interface.body_type = <object>kind
            return self.send_body(event, &view)
        if is_text(<object>kind, "http.response.start"):
            self.interface.start_type = <object>kind
            return self.start_response(event, &view)
        if is_text(<object>kind, "http.response.pathsend"):
            self.expect_offered("http.response.pathsend")
            return self.send_path(event)
        if is_text(<object>kind, "http.response.zerocopysend"):
            self.expect_offered("http.response.zerocopysend")
            return self.send_file(event)
        if is_text(<object>kind, "http.response.early_hint"):
            self.expect_offered("http.response.early_hint")
            return self.send_hints(event)
        if is_text(<object>kind, "http.response.trailers"):
            return self.send_trailers(event)
        raise ValueError(f"unexpected event type {<object>kind!r} on an http connection")

    cdef raises expect_offered(self, str name) except -1:
        if name not in self.interface.offered:
            raise ValueError(f"{name!r} is not among the offered extensions: see the scope, and --asgi-extensions")
        return 0

    cdef object start_response(self, dict event, EventView *view):
        cdef object status = <object>view.status if view.status != NULL else None
        cdef object fields = <object>view.headers if view.headers != NULL else ()
        cdef object trailers = <object>view.trailers if view.trailers != NULL else False
        cdef bint announced
        cdef int overflow = 0
        cdef long code
        self.expect(event, RESPONSE_NONE)
        if status is None:
            raise ValueError("http.response.start needs a 'status'")
        if type(status) is bool or not PyLong_Check(status):
            raise TypeError(f"'status' of http.response.start is an int, not {type(status).__name__}")
        code = PyLong_AsLongAndOverflow(status, &overflow)
        if overflow or not 200 <= code <= 999:
            raise ValueError(f"'status' of http.response.start is between 200 and 999, not {status}")
        if type(fields) is not list and type(fields) is not tuple:
            try:
                fields = list(fields)
            except TypeError:
                raise TypeError(
                    f"'headers' of http.response.start are pairs of bytes, not {type(fields).__name__}") from None
        check_fields(fields)
        announced = PyObject_IsTrue(trailers)
        self.expect(event, RESPONSE_NONE)
        self.status = code
        self.trailers = announced
        self.fields = fields
        self.response = RESPONSE_HELD
        self.held_since = 0
        if self.task is not None:
            self.connection.written()       # a turn, at whose end the head's time begins if it is still held
        return DONE

    cdef raises expect(self, dict event, int response) except -1:
        """Raises if the event cannot come now."""
        if self.response != response or self.cut:
            if self.cut:
                raise self.disconnected()
            raise self.out_of_order(event)
        return 0

    cdef raises expect_body(self, dict event) except -1:
        """Raises if a piece of the body cannot come now. The head may have gone or not."""
        if self.response != RESPONSE_HELD and self.response != RESPONSE_BODY or self.cut:
            if self.response == RESPONSE_OPEN:
                self.response = RESPONSE_BODY
            return self.expect(event, RESPONSE_BODY)
        return 0

    cdef raises expect_whole(self, dict event) except -1:
        """Raises if a body as a whole cannot come now."""
        return self.expect(event, RESPONSE_OPEN if self.response == RESPONSE_OPEN else RESPONSE_HELD)

    cdef raises write_head(self, bint end, uint64_t length) except -1:
        """Sends the held head, whose fields the caller keeps: dropping them may run the application's code. If it
        raises, another start may follow."""
        cdef object fields = self.fields
        self.fields = None
        self.response = RESPONSE_NONE
        self.send_head(self.status, fields, (FS_RESPONSE_END if end and not self.trailers else 0)
                       | (FS_RESPONSE_TRAILERS if self.trailers else 0), length)
        self.response = RESPONSE_BODY
        return 0

    cdef object send_body(self, dict event, EventView *view):
        cdef object body = <object>view.body if view.body != NULL else b""
        cdef object more_body = <object>view.more_body if view.more_body != NULL else False
        cdef object fields
        cdef bint more
        cdef int result
        if type(body) is not bytes:
            if not isinstance(body, (bytes, bytearray, memoryview)):
                raise TypeError(f"'body' of http.response.body is bytes, not {type(body).__name__}")
            body = bytes(body)
        more = PyObject_IsTrue(more_body)
        self.expect_body(event)
        fields = self.fields
        if self.response == RESPONSE_HELD:
            self.write_head(not more, PyBytes_GET_SIZE(body))
        result = self.stream.ops.body(self.stream, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), <void *>body, not more)
        return self.after_body(result)

    cdef object after_body(self, int result):
        if result < 0:
            self.broken = result
            count_error(self.driver, result)
            self.connection.written()
            if self.stream.ended:
                self.end()
            raise application_error(result)
        if self.stream.ended:
            self.end()
            return DONE
        if self.stream.trailers_pending:
            self.response = RESPONSE_TRAILERS
        return after_write(self)

    cdef raises end(self) except -1:
        self.response = RESPONSE_DONE
        self.connection.response_ended(self)

    cdef object send_path(self, dict event):
        cdef OpenFile file
        cdef uint64_t size
        cdef object fields
        path = event.get("path")
        if not isinstance(path, str):
            raise TypeError(f"'path' of http.response.pathsend is a str, not {type(path).__name__}")
        self.expect_whole(event)
        if not os.path.isabs(path):
            raise ValueError(f"'path' of http.response.pathsend is absolute, not {path!r}")
        file = own_descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        size = regular_size(file.fd, path)
        self.expect_whole(event)
        fields = self.fields
        if self.response == RESPONSE_HELD:
            self.write_head(True, size)
        self.response = RESPONSE_PATH
        return self.after_body(self.stream.ops.file(self.stream, file.fd, 0, size, <void *>file, 1))

    cdef object send_file(self, dict event):
        cdef OpenFile file
        cdef int64_t offset
        cdef uint64_t size, count
        cdef object fields
        cdef bint more
        source = event.get("file")
        fd = source if type(source) is int else source.fileno() if hasattr(source, "fileno") else None
        if fd is None:
            raise TypeError(f"'file' of http.response.zerocopysend is a descriptor or a file, not {type(source).__name__}")
        self.expect_body(event)
        # The application may close its file as soon as `send` returns; the queue may not have sent it by then.
        file = own_descriptor(os.dup(fd))
        size = regular_size(file.fd, fd)
        given = event.get("offset")
        offset = os.lseek(fd, 0, os.SEEK_CUR) if given is None else given
        if offset < 0:
            raise ValueError("'offset' of http.response.zerocopysend is negative")
        count = size - offset if <uint64_t>offset < size else 0
        wanted = event.get("count")
        if wanted is not None:
            if wanted < 0:
                raise ValueError("'count' of http.response.zerocopysend is negative")
            count = min(count, wanted)
        more = PyObject_IsTrue(event.get("more_body", False))
        if given is None:
            os.lseek(fd, count, os.SEEK_CUR)
        self.expect_body(event)
        fields = self.fields
        if self.response == RESPONSE_HELD:
            self.write_head(not more, count)
        return self.after_body(self.stream.ops.file(self.stream, file.fd, offset, count, <void *>file, not more))

    cdef object send_hints(self, dict event):
        cdef fs_field fields[FIELDS_ON_STACK]
        cdef uint32_t n = 0
        self.expect(event, RESPONSE_NONE)
        links = list(event.get("links", ()))
        if len(links) > FIELDS_ON_STACK:
            raise ValueError(f"more than {FIELDS_ON_STACK} links in one http.response.early_hint")
        for link in links:
            if type(link) is not bytes:
                raise TypeError(f"'links' of http.response.early_hint holds bytes, not {type(link).__name__}")
            fields[n] = fs_field(b"link", PyBytes_AS_STRING(link), 4, <uint32_t>len(link), 0)
            n += 1
        self.expect(event, RESPONSE_NONE)
        self.check(self.stream.ops.informational(self.stream, 103, fields, n))
        return after_write(self)

    cdef object send_trailers(self, dict event):
        cdef fs_field fields[FIELDS_ON_STACK]
        cdef bint more = bool(event.get("more_trailers", False))
        pairs = list(event.get("headers", ()))
        if self.response == RESPONSE_DONE and self.trailers and not self.trailers_given:
            # Announced, but dropped: the client did not ask for them, or the framing has no place for them.
            self.trailers_given = not more
            return DONE
        self.expect(event, RESPONSE_TRAILERS)
        if len(pairs) > FIELDS_ON_STACK:
            raise ValueError(f"more than {FIELDS_ON_STACK} trailers in one event")
        collect_fields(pairs, fields, len(pairs))
        self.check(self.stream.ops.trailers(self.stream, fields, <uint32_t>len(pairs), not more))
        if self.stream.ended:
            self.end()
            return DONE
        return after_write(self)

    def out_of_order(self, event):
        expected = {
            RESPONSE_NONE: "'http.response.start' is due",
            RESPONSE_HELD: "the body is due",
            RESPONSE_OPEN: "the body is due",
            RESPONSE_BODY: "'http.response.body' is due",
            RESPONSE_PATH: "the response is already complete",
            RESPONSE_TRAILERS: "'http.response.trailers' is due",
            RESPONSE_DONE: "the response is already complete",
        }[self.response]
        return RuntimeError(f"unexpected event {event['type']!r}: {expected}")


cdef uint64_t regular_size(int fd, object name) except? 0:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name!r} is not a regular file")
    return status.st_size
