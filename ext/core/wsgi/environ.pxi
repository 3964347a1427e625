# The environ of a request (PEP 3333, "environ Variables"). As in scope.pxi, a prototype with the values of the last
# request is copied; there is one for each sequence of fields, since an environ's keys come from the fields.

cdef enum:
    ENVIRON_SLOTS = 1024
    ENVIRON_KEY_SLOTS = 256
    SHAPE_SLOTS = 16

cdef tuple ENVIRON_KEYS = (     # in the order of EnvironKey
    "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI", "SERVER_PROTOCOL", "SERVER_NAME",
    "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "wsgi.early_hints", "fastserve.client_disconnected",
    "waitress.client_disconnected",
)
cdef PyObject *environ_names[ENV_SIZE]      # borrowed from ENVIRON_KEYS
cdef list environ_keys = []                 # keys of the known fields, by id; None: not passed on


cdef str environ_key(bytes name):
    """Returns HTTP_ and the name in capitals, except for the two that CGI names otherwise (RFC 3875 section 4.1.18)."""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if name in (b"content-type", b"content-length") else "HTTP_" + key


cdef raises fill_environ_keys() except -1:
    cdef size_t n
    cdef const char *p
    cdef unsigned i
    for i in range(ENV_SIZE):
        environ_names[i] = PyTuple_GET_ITEM(ENVIRON_KEYS, i)
    for i in range(fs_field_count()):
        p = fs_field_name(i, &n)
        # The transfer coding has been removed when the application sees the body (RFC 9112 section 6.1).
        passed = i not in (FS_FIELD_UNKNOWN, FS_FIELD_TRANSFER_ENCODING)
        environ_keys.append(sys.intern(environ_key(PyBytes_FromStringAndSize(p, n))) if passed else None)
    return 0


fill_environ_keys()


@cython.final
cdef class EnvironField:
    """One field as an environ has it."""


@cython.final
cdef class EnvironFields:
    """A cache of fields, as head_caches.pxi's FieldCache for a scope."""

    def __cinit__(self):
        memset(self.entries, 0, sizeof(self.entries))
        memset(self.keys, 0, sizeof(self.keys))

    def __dealloc__(self):
        for i in range(ENVIRON_SLOTS):
            Py_XDECREF(self.entries[i])
        for i in range(ENVIRON_KEY_SLOTS):
            Py_XDECREF(self.keys[i])

    cdef str key_of(self, const fs_field *field):
        """Returns the same object for the same name, as long as no other name takes its place: shapes compare
        addresses. Not interned, since clients choose the names."""
        cdef PyObject **place
        if field.id != FS_FIELD_UNKNOWN:
            return <object>PyList_GET_ITEM(environ_keys, field.id)
        place = &self.keys[hash_bytes(hash_seed, field.name, field.name_len) % ENVIRON_KEY_SLOTS]
        if place[0] != NULL and bytes_equal((<tuple>place[0])[0], field.name, field.name_len):
            return (<tuple>place[0])[1]
        name = PyBytes_FromStringAndSize(field.name, field.name_len)
        pair = (name, environ_key(name))
        if field.name_len <= FIELD_VALUE_MAX:
            Py_INCREF(pair)
            Py_XDECREF(place[0])
            place[0] = <PyObject *>pair
        return pair[1]

    cdef EnvironField make(self, const fs_field *field):
        cdef EnvironField made = EnvironField.__new__(EnvironField)
        made.name = PyBytes_FromStringAndSize(field.name, field.name_len)
        made.key = self.key_of(field)
        made.value = PyUnicode_DecodeLatin1(field.value, field.value_len, NULL)
        return made

    cdef EnvironField known(self, const fs_field *field):
        cdef PyObject **place = &self.entries[hash_field(field) % ENVIRON_SLOTS]
        cdef EnvironField entry
        if place[0] != NULL:
            entry = <EnvironField>place[0]
            if latin_equal(entry.value, field.value, field.value_len) and (
                    <PyObject *>entry.key == PyList_GET_ITEM(environ_keys, field.id) if field.id != FS_FIELD_UNKNOWN
                    else bytes_equal(entry.name, field.name, field.name_len)):
                return entry
        entry = self.make(field)
        Py_INCREF(entry)
        Py_XDECREF(place[0])
        place[0] = <PyObject *>entry
        return entry


cdef inline bint latin_equal(str text, const char *p, size_t n) noexcept:
    """Whether a text that was decoded from Latin-1 has these bytes."""
    return <size_t>PyUnicode_GET_LENGTH(text) == n and memcmp(PyUnicode_DATA(text), p, n) == 0


@cython.final
cdef class EnvironShape:
    """A prototype, for requests of this scheme that have these fields in this order."""


@cython.final
cdef class EnvironBuilder:

    def __cinit__(self, dict base not None, str script_name not None, bint underscores):
        # It has every key that may change, so that a copy has room for all of them and never grows.
        self.base = {**base, **dict.fromkeys(ENVIRON_KEYS, "")}
        self.fields = EnvironFields()
        self.targets = TargetCache(script_name)
        self.underscores = underscores
        self.peers = ("", "", "", None)
        self.shapes = [None] * SHAPE_SLOTS

    cdef dict build(self, const fs_request_head *head, Connection connection, Handle early_hints,
                    Handle client_disconnected):
        cdef fs_forwarded said
        cdef bint forwarded = is_forwarded(connection, head, &said)
        cdef bint https = (connection.tls is not None if not forwarded or said.scheme == FS_FORWARDED_NO_SCHEME
                           else said.scheme == FS_FORWARDED_HTTPS)
        cdef EnvironShape shape = self.shape_for(head, https)
        cdef Target target = self.targets.find(head)
        cdef tuple peers = connection.memo
        cdef tuple client = self.known_client(&said) if forwarded and said.has_client else None
        cdef dict environ
        cdef uint32_t i
        if peers is None:
            peers = connection.memo = self.peers = native_addresses(connection, self.peers)
        self.target = target
        self.method = "GET" if is_get(head) else method_name(head.method)
        place_value(shape, ENV_METHOD, <PyObject *>self.method)
        place_value(shape, ENV_PATH_INFO, <PyObject *>target.path)
        place_value(shape, ENV_QUERY_STRING, <PyObject *>target.query_string)
        place_value(shape, ENV_REQUEST_URI, <PyObject *>target.uri)
        place_value(shape, ENV_RAW_URI, <PyObject *>target.uri)
        place_value(shape, ENV_PROTOCOL, <PyObject *>"HTTP/1.1" if head.version == FS_HTTP_1_1
                    else <PyObject *>"HTTP/2.0" if head.version == FS_HTTP_2 else <PyObject *>"HTTP/1.0")
        for i in range(2):
            place_value(shape, ENV_SERVER_NAME + i, PyTuple_GET_ITEM(peers, i))
            place_value(shape, ENV_REMOTE_ADDR + i, PyTuple_GET_ITEM(peers, 2 + i) if client is None
                        else PyTuple_GET_ITEM(client, i))
        place_handle(shape, ENV_EARLY_HINTS, early_hints)
        place_handle(shape, ENV_CLIENT_DISCONNECTED, client_disconnected)
        place_handle(shape, ENV_WAITRESS_DISCONNECTED, client_disconnected)
        environ = PyDict_Copy(shape.environ)
        if shape.joined:
            forget_handles(shape, None)
        else:
            self.add_secrets(environ, shape, head)
        if client is None and peers[3] is None:
            PyDict_DelItem(environ, "REMOTE_PORT")
        if forwarded and said.host.n:
            PyDict_SetItem(environ, "HTTP_HOST", self.host_value(&said))
        if connection.tls is not None:
            PyDict_Update(environ, tls_environ(connection))
            if not https:
                environ.pop("HTTPS", None)
        return environ

    cdef tuple known_client(self, const fs_forwarded *said):
        if self.clients is None:
            self.clients = ClientCache.__new__(ClientCache, True)
        return self.clients.find(said)

    cdef str host_value(self, const fs_forwarded *said):
        cdef fs_field field = host_field(said)
        return self.fields.known(&field).value if worth_keeping(&field) else self.fields.make(&field).value

    cdef raises add_secrets(self, dict environ, EnvironShape shape, const fs_request_head *head) except -1:
        """Adds credentials and the like, which are not kept beyond their request: the prototype has only their keys."""
        cdef uint32_t i
        for i in range(head.nfields):
            if PyList_GET_ITEM(shape.fields, i) == <PyObject *>None and PyList_GET_ITEM(shape.keys, i) != <PyObject *>None:
                PyDict_SetItem(environ, <object>PyList_GET_ITEM(shape.keys, i),
                               PyUnicode_DecodeLatin1(head.fields[i].value, head.fields[i].value_len, NULL))
        return 0

    cdef bint passes(self, const fs_field *field) noexcept:
        """Whether a field is passed on. CGI's names cannot tell X_Forwarded_For from X-Forwarded-For, so a name with an
        underscore is dropped."""
        if field.id != FS_FIELD_UNKNOWN:
            return field.id != FS_FIELD_TRANSFER_ENCODING
        return self.underscores or memchr(field.name, c'_', field.name_len) == NULL

    cdef EnvironShape shape_for(self, const fs_request_head *head, bint https):
        cdef uint64_t h = head.nfields | <uint64_t>https << 32
        cdef uint32_t i
        cdef EnvironShape shape
        for i in range(head.nfields):
            h = h * 31 + head.fields[i].id
            if head.fields[i].id == FS_FIELD_UNKNOWN:
                h = hash_bytes(h, head.fields[i].name, head.fields[i].name_len)
        shape = self.shapes[h % SHAPE_SLOTS]
        if shape is not None and shape.hash == h and shape.https == https and not shape.joined and self.fit(shape, head):
            return shape
        shape = self.new_shape(head, h, https)
        if not shape.joined:
            forget_handles(self.shapes[h % SHAPE_SLOTS], None)
            self.shapes[h % SHAPE_SLOTS] = shape
        return shape

    cdef raises forget(self, Handle handle) except -1:
        """Removes a handle from the prototypes: its request is over, and it serves no other one."""
        if handle is not None and handle.held:
            for shape in self.shapes:
                forget_handles(shape, handle)
        return 0

    cdef raises clear(self) except -1:
        for i in range(SHAPE_SLOTS):
            forget_handles(self.shapes[i], None)
            self.shapes[i] = None
        return 0

    cdef bint fit(self, EnvironShape shape, const fs_request_head *head) except -1:
        """Puts the values of this request into the prototype. Returns False if its keys differ."""
        cdef uint32_t i
        cdef const fs_field *field
        cdef EnvironField entry
        cdef PyObject *key
        cdef str name
        if PyList_GET_SIZE(shape.keys) != head.nfields:
            return False
        for i in range(head.nfields):
            field = &head.fields[i]
            key = PyList_GET_ITEM(shape.keys, i)
            if not self.passes(field):
                if key != <PyObject *>None:
                    return False
                continue
            if not worth_keeping(field):
                name = self.fields.key_of(field)
                if key != <PyObject *>name or PyList_GET_ITEM(shape.fields, i) != <PyObject *>None:
                    return False
                continue
            entry = self.fields.known(field)
            if PyList_GET_ITEM(shape.fields, i) == <PyObject *>entry:
                continue
            if key != <PyObject *>entry.key or PyList_GET_ITEM(shape.fields, i) == <PyObject *>None:
                return False
            PyDict_SetItem(shape.environ, <object>key, entry.value)
            shape.fields[i] = entry
        return True

    cdef EnvironShape new_shape(self, const fs_request_head *head, uint64_t hash, bint https):
        cdef EnvironShape shape = EnvironShape.__new__(EnvironShape)
        cdef EnvironField entry
        cdef uint32_t i
        shape.environ = self.base.copy()
        shape.fields = []
        shape.keys = []
        shape.hash = hash
        shape.https = https
        if https:
            shape.environ["wsgi.url_scheme"] = "https"
            shape.environ["HTTPS"] = "on"
        for i in range(ENV_SIZE):
            shape.given[i] = NULL
        for i in range(head.nfields):
            if not self.passes(&head.fields[i]):
                shape.fields.append(None)
                shape.keys.append(None)
                continue
            entry = self.fields.make(&head.fields[i])
            shape.fields.append(entry if worth_keeping(&head.fields[i]) else None)
            shape.keys.append(entry.key)
            if entry.key in shape.environ:
                # RFC 9110 section 5.3; cookies are not a list (RFC 6265 section 5.4, RFC 9113 section 8.2.3).
                shape.joined = True
                joint = "; " if entry.key == "HTTP_COOKIE" else ","
                shape.environ[entry.key] += joint + entry.value
            else:
                shape.environ[entry.key] = entry.value
        if not shape.joined:
            for i in range(head.nfields):
                if shape.fields[i] is None and shape.keys[i] is not None:
                    shape.environ[shape.keys[i]] = ""
        return shape


cdef raises place_value(EnvironShape shape, int key, PyObject *value) except -1:
    if shape.given[key] != value:
        PyDict_SetItem(shape.environ, <object>environ_names[key], <object>value)
        shape.given[key] = value        # borrowed: the prototype owns it as long as it is there
    return 0


cdef raises place_handle(EnvironShape shape, int key, Handle handle) except -1:
    """Puts a handle into the prototype, as place_value. The same few exchanges serve most requests, so that it is
    usually there already. A handle counts its places, since its references show whether the application has kept it
    (WSGI.give)."""
    if shape.given[key] != <PyObject *>handle:
        if shape.given[key] != NULL:
            (<Handle>shape.given[key]).held -= 1
        PyDict_SetItem(shape.environ, <object>environ_names[key], handle)
        shape.given[key] = <PyObject *>handle
        handle.held += 1
    return 0


cdef raises forget_handles(EnvironShape shape, Handle handle) except -1:
    """Removes one handle from a prototype, or all."""
    cdef int key
    cdef Handle given
    if shape is None:
        return 0
    for key in range(ENV_EARLY_HINTS, ENV_SIZE):
        if shape.given[key] != NULL and (handle is None or shape.given[key] == <PyObject *>handle):
            given = <Handle>shape.given[key]
            shape.given[key] = NULL
            given.held -= 1
            PyDict_SetItem(shape.environ, <object>environ_names[key], None)
    return 0


cdef tuple native_addresses(Connection connection, tuple last):
    """Returns SERVER_NAME, SERVER_PORT, REMOTE_ADDR and REMOTE_PORT. The server's are never empty, although a Unix
    socket has neither; its peer has no port. Values that equal the last connection's are the same objects, so that
    prototypes stay."""
    server = server_address(connection)
    client = client_address(connection)
    name, port = ("localhost", "80") if server is None or server[1] is None else (server[0], str(server[1]))
    host, peer = ("", None) if client is None else (client[0], str(client[1]))
    return tuple([old if old == new else new for old, new in zip(last, (name, port, host, peer))])
