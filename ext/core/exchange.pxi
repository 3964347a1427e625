# What every interface shares: one request and its answer, between a stream and an application.

class ClientDisconnected(ConnectionResetError):
    """Raised by `send` when the client has gone and nothing can reach it any more (ASGI specification, 2.4)."""


cdef bint caused_by_disconnect(object exception):
    """Frameworks wrap what `send` raised in exceptions of their own, and in groups."""
    seen = set()
    pending = [exception]
    while pending:
        exception = pending.pop()
        if exception is None or id(exception) in seen:
            continue
        if isinstance(exception, ClientDisconnected):
            return True
        seen.add(id(exception))
        pending += [exception.__cause__, exception.__context__, *getattr(exception, "exceptions", ())]
    return False


cdef class Exchange:

    cdef int begin(self, fs_request_head *head) except -1:
        """Takes what it needs of a request's head; the slices are gone when it returns."""
        raise NotImplementedError

    cdef int start(self) except -1:
        """Calls the application, once."""
        raise NotImplementedError

    cdef int on_body(self, const char *p, size_t n, bint end) except -1:
        self.on_body_object(PyBytes_FromStringAndSize(p, n), end)

    cdef int on_body_object(self, bytes piece, bint end) except -1:
        self.pieces.append(piece)
        self.held += PyBytes_GET_SIZE(piece)
        if end:
            self.body_ended = True

    cdef int on_end(self) except -1:
        self.body_ended = True

    cdef int on_disconnect(self) except -1:
        """The client sends no more: it may still read (RFC 9112 section 9.6)."""
        self.told = True

    cdef int on_lost(self) except -1:
        """Nothing reaches the client any more; the stream is about to go."""
        self.told = True
        self.lost = True

    cdef int on_drained(self) except -1:
        """The out-queue has fallen below its low-water mark."""

    cdef bint wants_body(self) noexcept:
        """Whether the application waits for body bytes: only then is the client late."""
        return False

    cdef int finished(self, object exception) except -1:
        """The application has returned or raised."""

    cdef int let_go(self) except -1:
        """The exchange is not used again: what refers to itself is cut."""

    cdef int cancel(self) except -1:
        """Ends the application by force."""

    cdef int detach(self) except -1:
        """Cuts the exchange from its stream and connection: what the application still holds only says so."""
        if self.stream != NULL:
            self.stream.exchange = NULL
            self.stream = NULL
            self.driver.in_flight -= 1
        self.connection = None
        self.pieces.clear()
        self.held = 0

    cdef int log(self, int status) except -1:
        """The access log's line, once, when the answer has ended one way or the other."""
        cdef Driver driver = self.driver
        if driver.access_log.fd < 0 or self.logged or self.method is None:
            return 0
        self.logged = True
        driver.access_log.line(self.client, self.method, self.raw_path, self.query, self.version, status,
                               self.stream.body_sent if self.stream != NULL else 0,
                               fs_monotonic_us() - self.started_us, driver.now)

    cdef int fail(self, int error) except -1:
        """The application's fault: a 500 while the head is still here, a visibly broken answer after it."""
        cdef Connection connection = self.connection
        cdef fs_stream *stream = self.stream
        if stream == NULL or stream.ended:
            return 0
        if not self.told:
            self.driver.count_error(error)
        if stream.head_sent:
            stream.ops.abort(stream, error)
        elif send_text(stream, 500, b"Internal Server Error", NULL, 0) < 0:
            stream.ops.abort(stream, error)
        connection.response_ended()


cdef fs_field text_fields[2]
text_fields[0] = fs_field(b"content-type", b"text/plain; charset=utf-8", 12, 25, 0)
text_fields[1] = fs_field(b"retry-after", b"1", 11, 1, 0)


cdef int send_text(fs_stream *stream, int status, bytes text, const fs_field *extra, uint32_t nextra) noexcept:
    """A whole answer of the server's own. FS_OK or the stream's error."""
    cdef fs_response_head head
    cdef fs_field fields[4]
    cdef int result
    memset(&head, 0, sizeof(head))
    fields[0] = text_fields[0]
    for i in range(min(nextra, 3)):
        fields[1 + i] = extra[i]
    head.status = status
    head.fields = fields
    head.nfields = 1 + min(nextra, 3)
    head.flags = FS_RESPONSE_END
    head.length = PyBytes_GET_SIZE(text)
    result = stream.ops.head(stream, &head)
    if result < 0:
        return result
    return stream.ops.body(stream, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), NULL, 1)
