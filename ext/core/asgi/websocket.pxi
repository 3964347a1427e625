# The ASGI exchange of a WebSocket (ASGI WebSocket specification 2.5) over a tunnel. ext/proto/ws.h handles the frames.

cdef bytes ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"    # RFC 6455 section 1.3

# Codes of RFC 6455 section 7.4.1 and the IANA registry.
cdef enum CloseCode:
    CLOSE_NORMAL = 1000
    CLOSE_ABNORMAL = 1006
    CLOSE_INTERNAL = 1011
    CLOSE_RESTART = 1012

cdef enum:
    MESSAGES_A_TURN = 256       # of one connection: then the others have their turn
    MESSAGE_TIMES = 10          # times the time for the next part of a message, for the whole message

cdef double TOLD_WITHIN = 0.8       # part of a drain's time for WebSockets: the rest is for those told last

cdef tuple OWN_FIELDS = (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol")


cdef list subprotocols_of(list headers):
    """Returns the subprotocols that the client offers, in its order of preference (RFC 6455 section 11.3.4)."""
    offers = []
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            offers += [offer for offer in map(str.strip, value.decode("latin-1").split(",")) if offer]
    return offers


cdef bytes accept_value(bytes key):
    """Returns the value of Sec-WebSocket-Accept (RFC 6455 section 4.2.2, item 5.4)."""
    return binascii.b2a_base64(hashlib.sha1(key + ACCEPT_GUID, usedforsecurity=False).digest(), newline=False)


@cython.final
cdef class WebSocketExchange(ASGIExchange):

    def __cinit__(self, ASGIApplication interface):
        give_callables(self)

    def __dealloc__(self):
        if self.opened:
            fs_ws_free(&self.ws)

    # ---- the handshake's request

    cdef raises begin(self, fs_request_head *head) except -1:
        cdef fs_ws_handshake handshake
        cdef ScopeBuilder scopes = self.interface.scopes
        cdef dict scope = scopes.build(head, self.connection)
        self.raw_path = scopes.target.raw_path
        self.method = scopes.method
        self.body_ended = True
        del scope["method"]
        scope["type"] = "websocket"
        scope["asgi"] = {"version": "3.0", "spec_version": "2.5"}
        scope["scheme"] = "wss" if scope["scheme"] in ("https", "wss") else "ws"
        scope["subprotocols"] = subprotocols_of(scope["headers"])
        self.offered = tuple(scope["subprotocols"])
        if head.version == FS_HTTP_2:   # as the handshake of HTTP/1.1, which is what applications ask for
            scope["headers"] += [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        scope["extensions"] = {"websocket.http.response": {}}
        if self.connection.tls is not None:
            scope["extensions"]["tls"] = tls_extension(self.connection)
        self.request_scope = scope
        self.refusal = fs_ws_handshake_read(head, self.interface.deflate, &handshake)
        if self.refusal == FS_OK:
            self.key = PyBytes_FromStringAndSize(handshake.key.p, handshake.key.n)
            if handshake.has_deflate and not fs_budget_is_tight(&self.driver.memory):
                self.deflate = handshake.deflate
                self.deflate_answer = handshake.extensions
        self.log_begin(head, scope)

    cdef raises start(self) except -1:
        if self.refusal == FS_OK:
            ASGIExchange.start(self)
            return 0
        self.started = True
        self.request_scope = None
        self.stage = STAGE_ENDED
        self.fail(self.refusal)
        self.discard()

    # ---- the connection's side

    cdef bint wants_data(self) noexcept:
        """Whether more may be read: the application's queue is bounded in messages and in bytes, and so is the turn."""
        cdef const fs_limits *limits = &self.driver.limits
        self.paused = self.message is not None and (
            self.held >= limits.body_high_water or self.waiting_messages() >= limits.ws_max_queue)
        return not self.paused and self.connection.answered < MESSAGES_A_TURN

    cdef Py_ssize_t waiting_messages(self) noexcept:
        return 0 if self.message is None else 1 if self.queue is None else 1 + PyList_GET_SIZE(self.queue)

    cdef raises on_data(self, char *p, size_t n) except -1:
        cdef int result
        if n:
            result = fs_ws_feed(&self.ws, p, n, self.driver.now)
            if result < 0:
                self.failed(result)
                return 0
        elif fs_ws_unread(&self.ws) == 0:
            return 0
        self.read_messages()
        if self.opened:
            self.time_message()

    cdef raises on_data_end(self) except -1:
        cdef int result = fs_ws_settle(&self.ws) if self.opened else FS_OK
        if result < 0:
            self.failed(result)
        elif self.connection is not None and self.connection.answered >= MESSAGES_A_TURN:
            self.driver.schedule(self.connection)

    cdef raises read_messages(self) except -1:
        cdef fs_ws_event event
        cdef int result
        while self.wants_data():
            result = fs_ws_next(&self.ws, &event)
            if result < 0:
                self.failed(result)
                return 0
            if event.kind == FS_WS_MESSAGE:
                self.take_message(&event)
                if not self.opened:
                    return 0        # the application, which has just run, has ended it
            elif event.kind == FS_WS_PONG:
                if event.data.n == sizeof(self.ping_number) and memcmp(event.data.p, &self.ping_number, event.data.n) == 0:
                    self.pong_by = 0
            elif event.kind == FS_WS_CLOSE:
                self.client_left()
                self.note_end(event.code, PyUnicode_DecodeUTF8(event.data.p, event.data.n, NULL))
                self.leave()
                return 0
            else:
                return 0

    cdef raises take_message(self, fs_ws_event *event) except -1:
        cdef fs_status *status = self.driver.status
        cdef size_t n = event.data.n
        cdef object message
        cdef bint awaited = self.receiver is not None
        self.connection.answered += 1
        if event.buffer != NULL:
            # Memory of `fs_bytes_allocator`: a bytes object from the beginning.
            message = fs_bytes_of(event.buffer, n)
            if event.text:
                message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(message), n, NULL)
        elif event.text:
            message = PyUnicode_DecodeUTF8(event.data.p, n, NULL)
        else:
            message = PyBytes_FromStringAndSize(NULL, n)
            fs_ws_unmask(PyBytes_AS_STRING(message), event.data.p, n, event.mask)
        status.websocket_messages_in += 1
        status.websocket_bytes_in += n
        if self.code:
            return 0        # the application was or will be told that nothing more comes
        self.held += weight(message)
        if self.message is None:
            self.message = message
        elif self.queue is None:
            self.queue = [message]
        else:
            self.queue.append(message)
        self.wake_receivers(True)
        if self.held != self.charged and charge(self, self.held, awaited) < 0 and self.opened:
            fs_ws_fail(&self.ws, FS_E_NO_ROOM)
            self.failed(FS_E_NO_ROOM)

    cdef void time_message(self) noexcept:
        """Notes whether a message that has begun makes progress; otherwise its peer is late."""
        if not fs_ws_unfinished(&self.ws):
            self.message_since = 0
            return
        if self.message_since == 0 or self.message_number != self.ws.begun:
            self.message_since = self.message_at = self.driver.now
        elif self.message_progress != self.ws.progress:
            self.message_at = self.driver.now
        self.message_number = self.ws.begun
        self.message_progress = self.ws.progress

    cdef raises on_disconnect(self) except -1:
        """The peer has sent FIN: a close frame from us would never be answered."""
        self.disconnect_due = True
        self.client_left()
        self.note_end(CLOSE_ABNORMAL, "")
        if self.opened:
            self.leave()

    cdef raises on_lost(self) except -1:
        self.disconnect_due = self.lost = True
        self.client_left()
        self.note_end(CLOSE_ABNORMAL, "")
        self.stage = STAGE_ENDED
        self.wake_senders()

    cdef raises on_refused(self) except -1:
        self.on_lost()

    cdef bint unanswered(self) noexcept:
        return not self.own_end

    cdef raises failed(self, int error) except -1:
        """Ends the WebSocket: the peer has broken the protocol, and the close frame that says so is queued."""
        cdef const fs_error_info *info = fs_error_describe(error)
        refused(self.connection, error, request_of(self))
        self.note_end(info.close_code, info.text.decode())
        self.leave()

    cdef raises note_end(self, int code, str reason) except -1:
        """Notes that the WebSocket has ended or is about to: `receive` says so once earlier messages are taken."""
        if not self.code:
            self.code = code
            self.reason = reason
        self.wake_receivers(False)

    cdef raises leave(self) except -1:
        """Takes nothing more: what is queued still leaves, then the connection closes."""
        self.stage = STAGE_ENDED
        if self.stream != NULL:
            self.stream.ops.abort(self.stream, FS_OK)
            self.connection.response_ended(self)

    cdef raises detach(self) except -1:
        if self.opened:
            self.opened = False
            fs_ws_free(&self.ws)
            self.driver.status.websockets -= 1
            fs_status_count_close(self.driver.status, self.code)
        ASGIExchange.detach(self)

    cdef bint is_tunnel(self) noexcept:
        return self.opened

    cdef uint64_t sent(self) noexcept:
        return self.bytes_out if self.opened else self.stream.body_sent if self.stream != NULL else 0

    # ---- time

    cdef uint64_t due(self) noexcept:
        cdef uint64_t handshake = self.driver.limits.timeout_ws_handshake
        cdef uint64_t stop = self.driver.spread_until
        if not self.opened:
            if self.waits:
                return queue_due(self)
            return self.since + handshake if handshake and self.since and self.stage == STAGE_CONNECTING else 0
        if self.stage == STAGE_ENDED:
            return self.close_by
        return earliest(earliest(self.message_by(), earliest(self.ping_at, self.pong_by)),
                        stop if self.stage == STAGE_ENDING else earliest(self.tell_at, stop))

    cdef uint64_t message_by(self) noexcept:
        """Returns when a message that has begun is late, 0 for never."""
        cdef uint64_t most = self.driver.limits.timeout_ws_message
        if most == 0 or self.message_since == 0:
            return 0
        return earliest(self.message_at + most, self.message_since + MESSAGE_TIMES * most)

    cdef bint awaits_peer(self) noexcept:
        cdef uint64_t due
        if not self.opened or self.stage == STAGE_ENDED:
            return self.opened
        due = self.due()
        return due != 0 and (due == self.pong_by or due == self.message_by())

    cdef raises on_overdue(self) except -1:
        cdef uint64_t now = self.driver.now
        if self.waits:
            if is_late(self):
                give_up_waiting(self)
        elif not self.opened:
            self.handshake_expired()
        elif self.stage == STAGE_ENDED:
            self.leave()                # the peer does not answer our close frame
        elif self.driver.spread_until and now >= self.driver.spread_until:
            self.close_with(CLOSE_RESTART, "service restart")
        elif self.tell_at and now >= self.tell_at and self.stage == STAGE_OPEN:
            self.tell_at = 0
            self.stage = STAGE_ENDING
            self.note_end(CLOSE_RESTART, "service restart")
        elif self.message_by() and now >= self.message_by():
            self.message_late()
        elif self.pong_by and now >= self.pong_by:
            self.no_pong()
        elif self.ping_at and now >= self.ping_at:
            self.ping()

    cdef raises handshake_expired(self) except -1:
        cdef Task task = self.task
        if task is None:
            return 0
        report(self.driver.logger, LOG_ERROR,
               "the application neither accepted nor refused a WebSocket within %g seconds: %s\n%s",
               (self.driver.limits.timeout_ws_handshake / 1000.0, self.path_name(), waiting_stack(task.get_coro())))
        self.note_end(CLOSE_ABNORMAL, "")
        self.stage = STAGE_ENDED
        self.fail(FS_E_APP_TIMEOUT)
        task.cancel("the WebSocket was not accepted in time")

    cdef raises ping(self) except -1:
        cdef const fs_limits *limits = &self.driver.limits
        self.ping_number += 1
        self.check(fs_ws_ping(&self.ws, <char *>&self.ping_number, sizeof(self.ping_number)))
        self.ping_at = self.driver.now + limits.timeout_ws_ping
        if limits.timeout_ws_pong and not self.pong_by:
            self.pong_by = self.driver.now + limits.timeout_ws_pong

    cdef raises message_late(self) except -1:
        if self.paused:
            self.message_since = self.message_at = self.driver.now      # the rest may have come: we do not read
            return 0
        fs_ws_fail(&self.ws, FS_E_WS_MESSAGE_TIMEOUT)
        self.failed(FS_E_WS_MESSAGE_TIMEOUT)

    cdef raises no_pong(self) except -1:
        if self.paused:
            # Its answer may well have come: we do not read.
            self.pong_by = self.driver.now + self.driver.limits.timeout_ws_pong
            return 0
        refused(self.connection, FS_E_WS_PING_TIMEOUT, request_of(self))
        self.close_with(CLOSE_INTERNAL, "keepalive ping timeout")
        self.leave()

    cdef raises on_drain(self) except -1:
        """Sets when a WebSocket closes because the worker stops: each at its own moment, so that clients return one by
        one."""
        cdef Driver driver = self.driver
        if self.stage == STAGE_OPEN and self.opened and driver.now < driver.spread_until:
            self.tell_at = driver.now + <uint64_t>(random.random() * TOLD_WITHIN * (driver.spread_until - driver.now))

    cdef raises on_stop(self) except -1:
        self.disconnect_due = True
        if self.stage == STAGE_OPEN or self.stage == STAGE_ENDING:
            self.close_with(CLOSE_RESTART, "service restart")
        else:
            self.note_end(CLOSE_RESTART, "service restart")

    cdef raises close_with(self, int code, str reason) except -1:
        """Begins the close handshake; the peer has its time to answer."""
        cdef bytes text = reason.encode()
        self.check(fs_ws_close(&self.ws, code, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))
        self.stage = STAGE_ENDED
        self.close_by = fs_monotonic_ms() + self.driver.limits.timeout_ws_close
        self.note_end(code, reason)
        if self.connection is not None:
            self.connection.written()

    # ---- the application's end

    cdef raises finished(self, object exception) except -1:
        cdef int error = FS_E_APP_RAISED if exception is not None else FS_E_APP_NO_RESPONSE
        cdef bint gone = self.disconnect_due or self.stage == STAGE_ENDED
        cdef bint raised = exception is not None and self.log_failure(exception, gone)
        self.running = False
        self.forget_alarm()
        end_row(self)
        if self.stream == NULL:
            leave_place(self)
        self.task = None
        if self.stream == NULL or self.stage == STAGE_ENDED:
            if raised:
                count_error(self.driver, error)
        elif self.stage == STAGE_OPEN or self.stage == STAGE_ENDING:
            if raised:
                count_error(self.driver, error)
            self.farewell(exception)
        elif not self.lost:
            if exception is None and not self.code:
                report(self.driver.logger, LOG_ERROR, "ASGI application returned without %s: %s %s",
                       ("accepting or refusing the WebSocket" if self.stage == STAGE_CONNECTING
                        else "completing its response", self.method_name(), self.path_name()))
            self.note_end(CLOSE_ABNORMAL, "")
            self.stage = STAGE_ENDED
            if not raised and self.driver.gave_up and (self.disconnect_due or exception is not None):
                error = FS_E_STOPPED
            self.fail(error)

    cdef raises farewell(self, object exception) except -1:
        """Sends the close frame of an application that has ended without one."""
        cdef bint cancelled = isinstance(exception, asyncio.CancelledError)
        if self.stage == STAGE_ENDING or self.driver.spread_until and (exception is None or cancelled):
            self.close_with(CLOSE_RESTART, "service restart")
        elif exception is None:
            self.close_with(CLOSE_NORMAL, "")
        else:
            self.close_with(CLOSE_INTERNAL, "")

    # ---- the application's side: receive

    cdef dict next_event(self):
        cdef object message
        if not self.connect_given:
            self.connect_given = True
            return {"type": "websocket.connect"}
        message = self.message
        if message is None:
            if not self.code:
                return None
            return {"type": "websocket.disconnect", "code": self.code, "reason": self.reason}
        self.message = None
        if self.queue is not None:
            self.message = self.queue.pop(0)
            if PyList_GET_SIZE(self.queue) == 0:
                self.queue = None
        self.held -= weight(message)
        if self.charged:
            charge(self, self.held, True)
        if type(message) is bytes:
            event = {"type": "websocket.receive", "bytes": message}
        else:
            event = {"type": "websocket.receive", "text": message}
        if self.paused and self.connection is not None and self.wants_data():
            self.connection.written()       # a turn, which reads on
        return event

    # ---- the application's side: send

    cdef object handle_send(self, object event):
        cdef PyObject *kind
        if not PyDict_Check(event):
            raise TypeError(f"send() takes an event as a dict, not {type(event).__name__}")
        kind = PyDict_GetItemWithError(event, "type")
        if kind == NULL:
            raise ValueError("the event has no 'type'")
        if kind == <PyObject *>self.interface.message_type:
            return self.send_message(event)
        if is_text(<object>kind, "websocket.send"):
            self.interface.message_type = <object>kind
            return self.send_message(event)
        if is_text(<object>kind, "websocket.accept"):
            return self.accept(event)
        if is_text(<object>kind, "websocket.close"):
            return self.send_close(event)
        if is_text(<object>kind, "websocket.http.response.start"):
            return self.start_denial(event)
        if is_text(<object>kind, "websocket.http.response.body"):
            return self.send_denial(event)
        raise ValueError(f"unexpected event type {<object>kind!r} on a websocket connection")

    cdef raises expect(self, dict event, Stage stage) except -1:
        """Raises where the event cannot come now."""
        if self.stage == stage or stage == STAGE_OPEN and self.stage == STAGE_ENDING:
            return 0
        if self.lost or self.stage == STAGE_ENDED and not self.own_end:
            raise ClientDisconnected("the WebSocket is closed")
        expected = {
            STAGE_CONNECTING: "it has neither been accepted nor refused",
            STAGE_DENIAL: "'websocket.http.response.body' is due",
            STAGE_OPEN: "it has been accepted already",
            STAGE_ENDING: "it has been accepted already",
            STAGE_ENDED: "the application has closed it already",
        }[self.stage]
        raise RuntimeError(f"unexpected event {event['type']!r}: {expected}")

    cdef object accept(self, dict event):
        cdef fs_field fields[FIELDS_ON_STACK]
        cdef fs_sink *tunnel
        cdef list pairs
        cdef Driver driver = self.driver
        self.expect(event, STAGE_CONNECTING)
        if self.code:
            raise ClientDisconnected("the client has disconnected")
        pairs = self.accept_fields(event)
        self.expect(event, STAGE_CONNECTING)    # reading the event may have run the application's code
        if self.code:
            raise ClientDisconnected("the client has disconnected")
        collect_fields(pairs, fields, len(pairs))
        tunnel = self.connection.open_tunnel(self, fields, <uint32_t>len(pairs))
        count_answer(self)
        self.counted = True
        end_row(self)
        if fs_ws_init(&self.ws, &self.interface.ws_shared, tunnel,
                      &self.deflate if self.deflate_answer is not None else NULL) < 0:
            self.connection.lose(FS_E_NOMEM)
            raise MemoryError()
        self.opened = True
        self.stage = STAGE_OPEN
        self.key = None
        driver.status.websockets_total += 1
        driver.status.websockets += 1
        if driver.limits.timeout_ws_ping:
            self.ping_at = fs_monotonic_ms() + driver.limits.timeout_ws_ping
        if driver.spread_until:
            self.on_drain()
        return after_write(self)

    cdef list accept_fields(self, dict event):
        subprotocol = event.get("subprotocol")
        pairs = [(b"sec-websocket-accept", accept_value(self.key))] if self.key else []     # RFC 8441 section 5
        if self.deflate_answer is not None:
            pairs.append((b"sec-websocket-extensions", self.deflate_answer))
        if subprotocol is not None:
            if not isinstance(subprotocol, str):
                raise TypeError(f"'subprotocol' of websocket.accept is a str, not {type(subprotocol).__name__}")
            chosen = (b"sec-websocket-protocol", subprotocol.encode())
            if subprotocol in self.offered:
                pairs.append(chosen)
            else:
                check_fields([chosen])
                self.interface.warn_of_subprotocol(subprotocol, self.path_name())
        for name, value in event.get("headers") or ():
            if name.lower() in OWN_FIELDS:
                raise ValueError(f"{name!r} is not a header of websocket.accept: the server sets it")
            pairs.append((name, value))
        if len(pairs) > FIELDS_ON_STACK:
            raise ValueError(f"more than {FIELDS_ON_STACK} headers in websocket.accept")
        check_fields(pairs)
        return pairs

    cdef object send_message(self, dict event):
        cdef PyObject *data = PyDict_GetItemWithError(event, "bytes")
        cdef PyObject *text = PyDict_GetItemWithError(event, "text")
        cdef object payload
        cdef const char *p
        cdef Py_ssize_t n = 0
        cdef int result
        if (data == NULL or data == <PyObject *>None) == (text == NULL or text == <PyObject *>None):
            self.expect(event, STAGE_OPEN)
            raise ValueError("websocket.send has either 'bytes' or 'text'")
        if text != NULL and text != <PyObject *>None:
            payload = <object>text
            if not isinstance(payload, str):
                raise TypeError(f"'text' of websocket.send is a str, not {type(payload).__name__}")
            p = PyUnicode_AsUTF8AndSize(payload, &n)
            if self.stage != STAGE_OPEN:
                self.expect(event, STAGE_OPEN)
            result = fs_ws_send(&self.ws, 1, p, n, <void *>payload)
        else:
            payload = <object>data
            if type(payload) is not bytes:
                if not isinstance(payload, (bytes, bytearray, memoryview)):
                    raise TypeError(f"'bytes' of websocket.send is bytes, not {type(payload).__name__}")
                payload = bytes(payload)
            n = PyBytes_GET_SIZE(payload)
            if self.stage != STAGE_OPEN:
                self.expect(event, STAGE_OPEN)
            result = fs_ws_send(&self.ws, 0, PyBytes_AS_STRING(payload), n, <void *>payload)
        if result == FS_E_APP_ORDER:
            raise ClientDisconnected("the WebSocket is closed")
        self.check(result)
        self.bytes_out += n
        self.driver.status.websocket_messages_out += 1
        self.driver.status.websocket_bytes_out += n
        return after_write(self)

    cdef object send_close(self, dict event):
        code = event.get("code")
        reason = event.get("reason")
        code = CLOSE_NORMAL if code is None else code
        reason = "" if reason is None else reason
        if not isinstance(code, int) or not isinstance(reason, str):
            raise TypeError("'code' of websocket.close is an int, its 'reason' a str")
        valid = fs_ws_code_is_valid(code) and len(reason.encode()) <= 123
        if self.stage == STAGE_CONNECTING:
            self.own_end = True
            self.refuse(403)
            return DONE
        self.expect(event, STAGE_OPEN)
        if not valid:
            raise ValueError(f"not to be sent in a close frame: code {code}, {len(reason.encode())} bytes of reason")
        self.own_end = True
        self.close_with(code, reason)
        return DONE

    # ---- a refusal

    cdef raises refuse(self, int status) except -1:
        self.note_end(CLOSE_ABNORMAL, "")
        self.stage = STAGE_ENDED
        self.check(send_status(self.stream, status))
        self.connection.response_ended(self)

    cdef object start_denial(self, dict event):
        self.expect(event, STAGE_CONNECTING)
        status = event.get("status")
        fields = list(event.get("headers") or ())
        if type(status) is bool or not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(f"'status' of websocket.http.response.start is between 200 and 999, not {status!r}")
        check_fields(fields)
        self.expect(event, STAGE_CONNECTING)
        self.denial = (status, fields)
        self.stage = STAGE_DENIAL
        return DONE

    cdef object send_denial(self, dict event):
        cdef bint more = bool(event.get("more_body", False))
        body = event.get("body", b"")
        if not isinstance(body, bytes):
            raise TypeError(f"'body' of websocket.http.response.body is bytes, not {type(body).__name__}")
        self.expect(event, STAGE_DENIAL)
        if self.denial is not None:
            status, fields = self.denial
            self.denial = None
            self.send_head(status, fields, 0 if more else FS_RESPONSE_END, len(body))
        result = self.stream.ops.body(self.stream, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), <void *>body, not more)
        if self.stream.ended:
            self.own_end = True
            self.note_end(CLOSE_ABNORMAL, "")
            self.stage = STAGE_ENDED
            self.connection.response_ended(self)
        self.check(result)
        return DONE if self.connection is None else after_write(self)


cdef inline Py_ssize_t weight(object message) noexcept:
    """Returns the memory of a waiting message."""
    if type(message) is bytes:
        return PyBytes_GET_SIZE(message) + FS_BUDGET_OBJECT
    return PyUnicode_GET_LENGTH(message) * PyUnicode_KIND(message) + FS_BUDGET_OBJECT
