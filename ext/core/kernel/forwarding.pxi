# Whom to trust about clients behind a proxy, and what is said of them.

@cython.final
cdef class TrustedProxies:
    """The trusted peers, by their addresses. Made of the texts from `fastserve.config.option_types.Peers`."""

    def __cinit__(self, peers):
        cdef int result
        cdef bytes text
        fs_trusted_init(&self.peers, &fs_system_allocator)
        for peer in peers:
            text = peer.encode()
            result = fs_trusted_add(&self.peers, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
            if result < 0:
                raise MemoryError()
            if result > 0:
                raise ValueError(f"{peer!r} is neither an address nor a network, unix or *")
        fs_trusted_sort(&self.peers)

    def __dealloc__(self):
        fs_trusted_free(&self.peers)

    def trusts(self, str host):
        """Whether the peer of this address is trusted; None: of a Unix socket."""
        cdef fs_ip ip
        cdef bytes text
        if host is None:
            return bool(self.peers.unix_peers)
        text = host.encode("ascii", "replace")
        return bool(self.peers.everybody) or bool(fs_ip_read(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &ip)
                                                  and fs_trusted_has(&self.peers, &ip))


cdef bint is_trusted(Connection connection) noexcept:
    """Whether the peer is a proxy whose X-Forwarded fields are trusted; asked once."""
    cdef fs_ip ip
    cdef TrustedProxies proxies = connection.driver.forwarding
    if not connection.trust_known:
        connection.trust_known = True
        if proxies is None:
            connection.trusted = False
        elif fs_address_ip(&connection.peer, &ip):
            connection.trusted = fs_trusted_has(&proxies.peers, &ip)
        else:
            connection.trusted = proxies.peers.unix_peers
    return connection.trusted


cdef inline bint is_forwarded(Connection connection, const fs_request_head *head, fs_forwarded *said) noexcept:
    """Whether a trusted proxy says something about this request: `said` has it then, as long as the head stays."""
    if not head.flags & FS_HEAD_FORWARDED or not is_trusted(connection):
        return False
    fs_forwarded_read(&connection.driver.forwarding.peers, head.fields, head.nfields, said)
    return True


cdef inline fs_field host_field(const fs_forwarded *said) noexcept:
    """The Host field that takes the place of the request's."""
    cdef fs_field field
    field.id = FS_FIELD_HOST
    field.name = "host"
    field.name_len = 4
    field.value = said.host.p
    field.value_len = <uint32_t>said.host.n
    return field


@cython.final
cdef class ClientCache:
    """Addresses and ports of clients behind proxies, as applications get them: most requests come from a client that
    has sent others. Direct-mapped, like the caches of fields: an entry for another client is replaced."""

    def __cinit__(self, bint as_text):
        self.as_text = as_text
        memset(self.entries, 0, sizeof(self.entries))

    def __dealloc__(self):
        for i in range(CLIENT_SLOTS):
            Py_XDECREF(self.entries[i].pair)

    cdef tuple find(self, const fs_forwarded *said):
        cdef uint64_t h = hash_bytes(hash_seed ^ said.port, <const char *>said.client.bytes, sizeof(said.client.bytes))
        cdef KnownClient *known = &self.entries[(h ^ (h >> 32)) % CLIENT_SLOTS]
        cdef char text[FS_IP_TEXT]
        cdef object host, port
        cdef tuple pair
        if known.pair != NULL and known.port == said.port and fs_ip_equal(&known.ip, &said.client):
            return <tuple>known.pair
        host = PyUnicode_DecodeLatin1(text, fs_ip_write(&said.client, text), NULL)
        port = str(said.port) if self.as_text else said.port
        pair = PyTuple_Pack(2, <PyObject *>host, <PyObject *>port)
        Py_INCREF(pair)
        Py_XDECREF(known.pair)
        known.ip = said.client
        known.port = said.port
        known.pair = <PyObject *>pair
        return pair
