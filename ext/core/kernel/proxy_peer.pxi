# Who is behind a proxy: the PROXY protocol's header, before anything else that a connection brings.

cdef raises expect_proxy_header(Connection connection, object proxied) except -1:
    """`proxied` says of a peer's host, None for a Unix socket's, whether its connections begin with a header."""
    client = connection.client_address()
    try:
        if proxied(client[0] if client is not None else None):
            connection.proxied = True
    except BaseException as failure:
        connection.broken(failure)
    return 0


cdef Py_ssize_t take_proxy_header(Connection connection, const char *p, size_t n) except -1:
    """How many of the first bytes are the header's. A peer that is expected to send one and does not is not
    answered: who it is cannot be known."""
    cdef fs_proxy_header header
    cdef bytes whole
    cdef Py_ssize_t before = 0
    cdef int result
    if connection.proxy_part is None:
        result = fs_proxy_header_parse(p, n, &header)
    else:
        before = PyBytes_GET_SIZE(connection.proxy_part)
        whole = connection.proxy_part + PyBytes_FromStringAndSize(p, n)
        result = fs_proxy_header_parse(PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole), &header)
    if result == 0:
        connection.proxy_part = PyBytes_FromStringAndSize(p, n) if before == 0 else whole
        return n
    if result < 0:
        report(connection.driver.logger, LOG_DEBUG, "Refused connection: %s", (fs_error_describe(result).text.decode(),))
        connection.lost(result)
        return 0
    take_addresses(connection, &header)
    connection.proxy_part = None
    connection.proxied = False
    return result - before


cdef raises take_addresses(Connection connection, const fs_proxy_header *header) except -1:
    cdef fs_address address
    cdef char text[FS_ADDRESS_TEXT]
    if header.family == FS_PROXY_NONE:
        return 0
    connection.client = None
    if header.family == FS_PROXY_UNIX:
        connection.peer.family = FS_FAMILY_UNIX
        if header.path.n:
            connection.server = (os.fsdecode(header.path.p[:header.path.n]), None)
        return 0
    connection.peer.family = FS_FAMILY_INET if header.family == FS_PROXY_INET else FS_FAMILY_INET6
    connection.peer.port = header.source.port
    memcpy(connection.peer.ip, header.source.ip, sizeof(connection.peer.ip))
    address.family = connection.peer.family
    memcpy(address.ip, header.destination.ip, sizeof(address.ip))
    connection.server = (PyUnicode_DecodeLatin1(text, fs_address_format(&address, text), NULL), header.destination.port)
    return 0
