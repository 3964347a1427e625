# Who is at the other end: addresses and the TLS certificate. With the PROXY protocol, its header says so before
# anything else on a connection.

cdef tuple client_address(Connection connection):
    cdef char text[FS_ADDRESS_TEXT]
    cdef size_t n
    if connection.client is None and (connection.peer.family == FS_FAMILY_INET or connection.peer.family == FS_FAMILY_INET6):
        n = fs_address_format(&connection.peer, text)
        connection.client = (PyUnicode_DecodeLatin1(text, n, NULL), connection.peer.port)
    return connection.client


cdef tuple server_address(Connection connection):
    cdef fs_address address
    cdef char text[FS_ADDRESS_TEXT]
    cdef size_t n
    if connection.server is not None:
        return connection.server
    if connection.listener is not None and connection.listener.server is not None:
        return connection.listener.server
    # The listener is on every address: each connection has its own.
    if fs_local_address(connection.fd, &address) == 0 and address.family in (FS_FAMILY_INET, FS_FAMILY_INET6):
        n = fs_address_format(&address, text)
        connection.server = (PyUnicode_DecodeLatin1(text, n, NULL), address.port)
    return connection.server


cdef dict tls_extension(Connection connection):
    """Returns the scope's `tls` (ASGI TLS extension 0.2), a dict that the application may change."""
    if connection.tls_scope is None:
        connection.tls_scope = connection.tls.settings.describe(connection.tls.ssl)
    return PyDict_Copy(connection.tls_scope)


cdef dict tls_environ(Connection connection):
    """Returns what an environ says of TLS, by mod_ssl's names. The caller must not change it."""
    if connection.tls_scope is None:
        connection.tls_scope = connection.tls.settings.environ(connection.tls.ssl)
    return connection.tls_scope


cdef raises expect_proxy_header(Connection connection, object proxied) except -1:
    """Expects a header if `proxied` says so of the peer's host (None for a Unix socket)."""
    client = client_address(connection)
    try:
        if proxied(client[0] if client is not None else None):
            connection.proxied = True
    except BaseException as failure:
        connection.broken(failure)
    return 0


cdef Py_ssize_t take_proxy_header(Connection connection, const char *p, size_t n) except -1:
    """Returns how many of the first bytes are the header. A peer that does not send the expected header is not
    answered, since nobody can know who it is."""
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
        connection.lose(result)
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
