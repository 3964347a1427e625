# Which protocol a connection speaks. ALPN decides (tls_traffic.pxi), or the first bytes do: HTTP/2's preface (RFC 9113
# section 3.3) instead of a request. A connection begins with HTTP/1, whose session also answers what is refused here.

cdef bint choose_protocol(Connection connection, char *p, size_t n) except -1:
    """Looks at the first bytes of a connection that may speak either protocol (Connection.undecided). True if they were
    consumed: a partial preface is kept until it is complete, anything else goes to HTTP/1."""
    cdef Driver driver = connection.driver
    cdef bytes whole = None
    cdef size_t size = n
    cdef char *start = p
    if connection.opening is not None:
        whole = connection.opening + PyBytes_FromStringAndSize(p, n)
        start = PyBytes_AS_STRING(whole)
        size = PyBytes_GET_SIZE(whole)
        connection.opening = None
    if memcmp(start, FS_H2_PREFACE, min(size, FS_H2_PREFACE_LEN)) == 0:
        if size < FS_H2_PREFACE_LEN:
            connection.opening = PyBytes_FromStringAndSize(start, size)
            return True
        begin_http2(connection)
    else:
        connection.undecided = False
        if driver.http == HTTP_2_ONLY:
            connection.refuse(FS_E_VERSION)
            return True
    if whole is None:
        return False
    if FS_DEBUG:
        assert size <= driver.buffer_size
    memcpy(driver.buffer, start, size)      # receive_room() has left room for what was kept
    connection.feed(driver.buffer, size)
    return True


cdef raises give_up_choosing(Connection connection) except -1:
    """Ends the choice when the peer sends no more and a preface is not complete: HTTP/1 answers what is wrong."""
    cdef size_t size = PyBytes_GET_SIZE(connection.opening)
    cdef Session session
    memcpy(connection.driver.buffer, PyBytes_AS_STRING(connection.opening), size)   # borrowed for the turn
    connection.opening = None
    connection.undecided = False
    connection.feed(connection.driver.buffer, size)
    session = connection.session
    session.events()


cdef raises begin_http2(Connection connection) except -1:
    connection.speak(H2Session.__new__(H2Session, connection))
    connection.driver.status.http2_connections += 1
