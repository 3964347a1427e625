# The server's own answers: a status with its phrase, a redirect, and the access log's lines of both.

cdef fs_field text_fields[2]
text_fields[0] = fs_field(b"content-type", b"text/plain; charset=utf-8", 12, 25, 0)
text_fields[1] = fs_field(b"retry-after", b"1", 11, 1, 0)

cdef fs_field version_fields[2]     # RFC 6455 section 4.4
version_fields[0] = text_fields[0]
version_fields[1] = fs_field(b"sec-websocket-version", b"13", 21, 2, 0)


cdef int send_status(fs_stream *stream, int status) noexcept:
    """Sends a whole answer of the server's own: a status, its phrase as the text, Retry-After with a 503, the version
    of WebSocket with a 426. Returns FS_OK or the stream's error."""
    cdef fs_response_head head
    cdef fs_slice text = fs_reason_phrase(status)
    cdef int result
    memset(&head, 0, sizeof(head))
    head.status = status
    head.fields = &version_fields[0] if status == 426 else &text_fields[0]
    head.nfields = 2 if status == 503 or status == 426 else 1
    head.flags = FS_RESPONSE_END
    head.length = text.n
    result = stream.ops.head(stream, &head)
    if result < 0:
        return result
    return stream.ops.body(stream, text.p, text.n, NULL, 1)


cdef int send_redirect(fs_stream *stream, bytes location) noexcept:
    """Sends a whole 308, or 400 without a location. Returns FS_OK or the stream's error."""
    cdef fs_response_head head
    cdef fs_field field
    if PyBytes_GET_SIZE(location) == 0:
        return send_status(stream, 400)
    memset(&head, 0, sizeof(head))
    field = fs_field(b"location", PyBytes_AS_STRING(location), 8, <uint32_t>PyBytes_GET_SIZE(location), 0)
    head.status = 308
    head.fields = &field
    head.nfields = 1
    head.flags = FS_RESPONSE_END
    cdef int result = stream.ops.head(stream, &head)
    return stream.ops.body(stream, "", 0, NULL, 1) if result >= 0 else result


cdef raises refuse_unopened(Connection connection, fs_event *event, int error) except -1:
    """Answers a request at once for which, or for whose body, the worker has no room."""
    cdef fs_stream *stream = event.stream
    cdef Driver driver = connection.driver
    cdef int status = fs_error_describe(error).status
    refused(connection, error, f"{method_name(event.head.method)} {event.head.target.p[:event.head.target.n].decode('latin-1')}")
    driver.status.overloaded += error == FS_E_OVERLOADED
    fs_status_count_response(driver.status, status)
    if send_status(stream, status) < 0:
        stream.ops.abort(stream, error)
    log_answer(connection, event)
    say_no_room(driver, error)


cdef raises log_answer(Connection connection, fs_event *event) except -1:
    """Writes the access log's line of an answer that is the server's own."""
    cdef Driver driver = connection.driver
    if driver.access_log.fd >= 0:
        driver.access_log.line(client_address(connection), method_name(event.head.method),
                               PyBytes_FromStringAndSize(event.head.path.p, event.head.path.n),
                               PyBytes_FromStringAndSize(event.head.query.p, event.head.query.n),
                               event.head.version, event.stream.status, event.stream.body_sent, 0, driver.now)


cdef raises redirect(Connection connection, fs_event *event) except -1:
    """Answers 308 to the same target with https: method and body are kept (RFC 9110 section 15.4.9)."""
    cdef Driver driver = connection.driver
    cdef fs_stream *stream = event.stream
    cdef bytes location = https_location(&event.head, connection.listener.redirect)
    if send_redirect(stream, location) < 0:
        stream.ops.abort(stream, FS_E_INTERNAL)
    fs_status_count_response(driver.status, stream.status)
    log_answer(connection, event)


cdef raises log_rejected(Connection connection, int error) except -1:
    """Logs a request that never got an exchange."""
    cdef Driver driver = connection.driver
    cdef int status = fs_error_describe(error).status
    if status:
        fs_status_count_response(driver.status, status)
    if driver.access_log.fd >= 0 and status:
        driver.access_log.line(client_address(connection), None, None, None, FS_HTTP_1_1, status, 0, 0, driver.now)


cdef bytes https_location(const fs_request_head *head, int port):
    """Returns where a request to a plain address should go instead; b"" if it does not name its host."""
    cdef uint32_t i
    cdef bytes host = b""
    for i in range(head.nfields):
        if head.fields[i].id == FS_FIELD_HOST:
            host = PyBytes_FromStringAndSize(head.fields[i].value, head.fields[i].value_len)
    name, colon, number = host.rpartition(b":")
    if colon and number.isdigit() or colon and not number:
        host = name
    if not host:
        return b""
    target = PyBytes_FromStringAndSize(head.path.p, head.path.n)
    if head.query.n:
        target += b"?" + PyBytes_FromStringAndSize(head.query.p, head.query.n)
    return b"https://" + host + (b"" if port == 443 else b":%d" % port) + (target if target != b"*" else b"/")
