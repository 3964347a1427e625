# The scope of a request (ASGI HTTP specification 2.5, "HTTP Connection Scope").

cdef tuple SCOPE_KEYS = (       # in the order of ScopeKey
    "type", "asgi", "http_version", "server", "client", "scheme", "method", "root_path", "path", "raw_path",
    "query_string", "headers", "extensions",
)
cdef PyObject *scope_names[SCOPE_SIZE]      # borrowed from SCOPE_KEYS


cdef raises fill_scope_names() except -1:
    cdef int i
    for i in range(SCOPE_SIZE):
        scope_names[i] = PyTuple_GET_ITEM(SCOPE_KEYS, i)
    return 0


fill_scope_names()


cdef tuple EXTENSIONS = (
    "http.response.early_hint", "http.response.pathsend", "http.response.zerocopysend", "http.response.trailers")


@cython.final
cdef class ScopeBuilder:
    """Makes scopes. It keeps a prototype with the values of the last request, and copies it: copying a dict costs less
    than filling one, and most values are the same from request to request.

    A scope belongs to the application, and so do the dicts in it. The next scope gets the same `asgi` and `extensions`
    if the last scope is gone and left them unchanged; otherwise they are made anew."""

    def __cinit__(self, str root_path, state, bint underscores, frozenset extensions):
        cdef int i
        self.underscores = underscores
        self.root_path = root_path
        self.state = state
        self.fields = FieldCache()
        self.targets = TargetCache()
        # Not 2.5, although the rest is 2.5: from 2.4 on Starlette trusts that `send` raises and does not listen for
        # http.disconnect, so that a stream with nothing to send would outlive its client. Here `send` does raise, and
        # below 2.4 an application also listens. uvicorn says 2.3 and Hypercorn 2.1 for this reason.
        #
        # But listening would take the body's events away from a stream that reads them, and Starlette checks the
        # version when it answers: a request with a body says 2.5 until the application has taken the whole body
        # (HTTPExchange.next_event).
        self.asgi_template = {"version": "3.0", "spec_version": "2.3"}
        self.asgi_with_body = {"version": "3.0", "spec_version": "2.5"}
        self.extensions_trailers = tuple(name for name in EXTENSIONS if name in extensions)
        self.extensions_1_1 = tuple(name for name in self.extensions_trailers if name != "http.response.trailers")
        self.extensions_1_0 = tuple(name for name in self.extensions_1_1 if name != "http.response.early_hint")
        # The prototype has every key, so that a copy has room for all of them and never grows.
        self.prototype = dict.fromkeys(SCOPE_KEYS)
        if state is not None:
            self.prototype["state"] = None
        for i in range(SCOPE_SIZE):
            self.given[i] = <PyObject *>None
        self.place(SCOPE_TYPE, <PyObject *>"http")
        self.place(SCOPE_SCHEME, <PyObject *>"http")
        self.place(SCOPE_ROOT_PATH, <PyObject *>root_path)

    cdef raises place(self, int key, PyObject *value) except -1:
        if self.given[key] != value:
            PyDict_SetItem(self.prototype, <object>scope_names[key], <object>value)
            self.given[key] = value     # borrowed: the prototype owns it as long as it is there
        return 0

    cdef dict build(self, fs_request_head *head, Connection connection):
        cdef Target target = self.targets.find(head)
        cdef object client = client_address(connection)
        cdef object server = server_address(connection)
        cdef PyObject *scheme = <PyObject *>"http" if connection.tls is None else <PyObject *>"https"
        cdef fs_forwarded said
        cdef bint forwarded = is_forwarded(connection, head, &said)
        cdef fs_field host
        cdef dict scope
        cdef list headers
        if forwarded:
            if said.has_client:
                client = self.known_client(&said)
            if said.scheme != FS_FORWARDED_NO_SCHEME:
                scheme = <PyObject *>"https" if said.scheme == FS_FORWARDED_HTTPS else <PyObject *>"http"
        self.target = target
        self.method = "GET" if is_get(head) else method_name(head.method)
        self.place(SCOPE_HTTP_VERSION, <PyObject *>"1.1" if head.version == FS_HTTP_1_1
                   else <PyObject *>"2" if head.version == FS_HTTP_2 else <PyObject *>"1.0")
        self.place(SCOPE_SCHEME, scheme)
        self.place(SCOPE_CLIENT, <PyObject *>client)
        self.place(SCOPE_SERVER, <PyObject *>server)
        self.place(SCOPE_METHOD, <PyObject *>self.method)
        self.place(SCOPE_PATH, <PyObject *>target.path)
        self.place(SCOPE_RAW_PATH, <PyObject *>target.raw_path)
        self.place(SCOPE_QUERY_STRING, <PyObject *>target.query)
        self.choose_extensions(head)
        if not untouched(<PyObject *>self.asgi, <PyObject *>self.asgi_items):
            self.asgi = PyDict_Copy(self.asgi_template)
            self.asgi_items = flat_items(self.asgi)
        self.place(SCOPE_ASGI, <PyObject *>self.asgi)
        self.place(SCOPE_EXTENSIONS, <PyObject *>self.extensions)
        scope = PyDict_Copy(self.prototype)
        headers = self.headers(head)
        if forwarded and said.host.n:
            host = host_field(&said)
            put_host(headers, head, self.fields.known(&host))
        PyDict_SetItem(scope, "headers", headers)
        if not head.flags & FS_HEAD_END:
            PyDict_SetItem(scope, "asgi", PyDict_Copy(self.asgi_with_body))
        if connection.tls is not None:
            PyDict_SetItem(scope, "extensions", {**self.extensions, "tls": tls_extension(connection)})
        if self.root_path:
            PyDict_SetItem(scope, "path", self.root_path + target.path)
        if self.state is not None:
            PyDict_SetItem(scope, "state", self.state.copy())
        return scope

    cdef tuple known_client(self, const fs_forwarded *said):
        if self.clients is None:
            self.clients = ClientCache.__new__(ClientCache, False)
        return self.clients.find(said)

    cdef list headers(self, fs_request_head *head):
        cdef list headers
        cdef tuple pair
        cdef uint32_t i
        if head.flags & FS_HEAD_UNDERSCORES and not self.underscores:
            return self.headers_without_underscores(head)
        headers = PyList_New(head.nfields)
        for i in range(head.nfields):
            pair = self.fields.known(&head.fields[i])
            Py_INCREF(pair)
            PyList_SET_ITEM(headers, i, pair)
        return headers

    cdef list headers_without_underscores(self, fs_request_head *head):
        """Returns the headers without names that have an underscore: a WSGI application or a CGI behind the ASGI
        application cannot tell X_User from X-User."""
        cdef const fs_field *field
        cdef uint32_t i
        headers = []
        for i in range(head.nfields):
            field = &head.fields[i]
            if field.id != FS_FIELD_UNKNOWN or memchr(field.name, c'_', field.name_len) == NULL:
                headers.append(self.fields.known(field))
        return headers

    cdef raises choose_extensions(self, fs_request_head *head) except -1:
        cdef tuple names = self.extensions_1_1
        if head.version == FS_HTTP_1_0:
            names = self.extensions_1_0
        elif head.flags & FS_HEAD_TE_TRAILERS:
            names = self.extensions_trailers
        if self.extension_names is not names or not untouched(<PyObject *>self.extensions,
                                                              <PyObject *>self.extensions_items):
            self.extensions = {name: {} for name in names}
            self.extensions_items = flat_items(self.extensions)
            self.extension_names = names
        return 0


cdef tuple flat_items(dict given):
    """Returns keys and values in turn, for `untouched` to compare with: while they are held, nothing else gets their
    addresses."""
    flat = []
    for item in given.items():
        flat.extend(item)
    return tuple(flat)


cdef bint untouched(PyObject *given, PyObject *items) noexcept:
    """Whether only the builder and its prototype hold this dict, and it and the empty dicts in it are unchanged."""
    cdef Py_ssize_t at = 0, i = 0
    cdef PyObject *name
    cdef PyObject *value
    if given == <PyObject *>None or Py_REFCNT(given) != 2 or 2 * PyDict_Size(<object>given) != PyTuple_GET_SIZE(<object>items):
        return False
    while i < PyTuple_GET_SIZE(<object>items) and PyDict_Next(<object>given, &at, &name, &value):
        if name != PyTuple_GET_ITEM(<object>items, i) or value != PyTuple_GET_ITEM(<object>items, i + 1):
            return False
        if type(<object>value) is dict and (PyDict_Size(<object>value) != 0 or Py_REFCNT(value) != 2):
            return False
        i += 2
    return True


cdef raises put_host(list headers, const fs_request_head *head, tuple host) except -1:
    """Makes `host` the first of the fields, and the only one of its name."""
    if head.nfields and head.fields[0].id == FS_FIELD_HOST:
        headers[0] = host
    else:
        headers[:] = [host, *(field for field in headers if field[0] != b"host")]
    return 0
