# Objects that are the same from request to request: header tuples and targets. The caches belong to the worker and not
# to a connection, so that an idle connection holds nothing. Both are direct-mapped: a collision costs an allocation and
# never a search, so no client can make them slow. The number and the size of their entries are bounded.

cdef enum:
    FIELD_SLOTS = 1024
    FIELD_VALUE_MAX = 512       # bytes: longer values are not worth their memory
    TARGET_SLOTS = 256
    TARGET_MAX = 256            # bytes

cdef uint64_t hash_seed = int.from_bytes(os.urandom(8), "little") | 1

cdef list field_names = []      # one lower-case bytes object for each known name, by id


cdef raises fill_field_names() except -1:
    cdef size_t n
    cdef const char *p
    for i in range(fs_field_count()):
        p = fs_field_name(i, &n)
        field_names.append(PyBytes_FromStringAndSize(p, n))
    return 0


cdef inline uint64_t hash_bytes(uint64_t h, const char *p, size_t n) noexcept nogil:
    # Words from the front, then the last one, which may overlap them; of less than a word, all of it and its length.
    cdef uint64_t word = <uint64_t>n << 56
    cdef const char *last
    cdef size_t i
    if n >= 8:
        last = p + n - 8
        while p < last:
            memcpy(&word, p, 8)
            h = (h ^ word) * <uint64_t>0x9E3779B97F4A7C15
            h ^= h >> 29
            p += 8
        memcpy(&word, last, 8)
    else:
        for i in range(n):
            word |= <uint64_t><unsigned char>p[i] << 8 * i
    h = (h ^ word) * <uint64_t>0x9E3779B97F4A7C15
    return h ^ h >> 29


cdef inline bint bytes_equal(object o, const char *p, size_t n) noexcept:
    return <size_t>PyBytes_GET_SIZE(o) == n and memcmp(PyBytes_AS_STRING(o), p, n) == 0


cdef inline bint is_name(PyObject *name, const fs_field *field) noexcept:
    """Of a name that field_tuple has given: those of the table are one object each."""
    if field.id != FS_FIELD_UNKNOWN:
        return name == PyList_GET_ITEM(field_names, field.id)
    return bytes_equal(<object>name, field.name, field.name_len)


cdef inline bint sensitive(uint32_t id) noexcept nogil:
    # Credentials are not kept beyond their request.
    return id == FS_FIELD_COOKIE or id == FS_FIELD_AUTHORIZATION or id == FS_FIELD_PROXY_AUTHORIZATION


cdef inline bint worth_keeping(const fs_field *field) noexcept nogil:
    return field.value_len <= FIELD_VALUE_MAX and field.name_len <= FIELD_VALUE_MAX and not sensitive(field.id)


cdef inline uint64_t hash_field(const fs_field *field) noexcept nogil:
    cdef uint64_t h = hash_seed + field.id
    if field.id == FS_FIELD_UNKNOWN:
        h = hash_bytes(h, field.name, field.name_len)
    h = hash_bytes(h ^ field.value_len, field.value, field.value_len)
    return h ^ (h >> 32)


cdef inline tuple field_tuple(const fs_field *field):
    cdef object name, value
    if field.id != FS_FIELD_UNKNOWN:
        name = <object>PyList_GET_ITEM(field_names, field.id)
    else:
        name = PyBytes_FromStringAndSize(field.name, field.name_len)
    value = PyBytes_FromStringAndSize(field.value, field.value_len)
    return PyTuple_Pack(2, <PyObject *>name, <PyObject *>value)


@cython.final
cdef class FieldCache:
    """(name, value) tuples of request fields, shared by all requests of a worker: tuples and bytes cannot change."""

    def __cinit__(self):
        memset(self.entries, 0, sizeof(self.entries))

    def __dealloc__(self):
        for i in range(FIELD_SLOTS):
            Py_XDECREF(self.entries[i])

    cdef tuple known(self, const fs_field *field):
        cdef PyObject **place
        cdef tuple entry
        if not worth_keeping(field):
            return field_tuple(field)
        place = &self.entries[hash_field(field) % FIELD_SLOTS]
        if place[0] != NULL:
            entry = <tuple>place[0]
            if (bytes_equal(<object>PyTuple_GET_ITEM(entry, 1), field.value, field.value_len)
                    and is_name(PyTuple_GET_ITEM(entry, 0), field)):
                return entry
        entry = field_tuple(field)
        Py_INCREF(entry)
        Py_XDECREF(place[0])
        place[0] = <PyObject *>entry
        return entry


@cython.final
cdef class Target:
    """A parsed request target (RFC 9112 section 3.2), as the scope shows it."""


cdef bytearray unescape(const char *p, size_t n):
    """Returns the bytes percent-decoded; a percent sign without two digits stays."""
    cdef bytearray out = bytearray(n)
    cdef char *q = PyByteArray_AS_STRING(out)
    cdef size_t used = 0, i = 0
    cdef int high, low
    while i < n:
        if p[i] == c'%' and i + 2 < n:
            high = hex_digit(p[i + 1])
            low = hex_digit(p[i + 2])
            if high >= 0 and low >= 0:
                q[used] = <char>(high << 4 | low)
                used += 1
                i += 3
                continue
        q[used] = p[i]
        used += 1
        i += 1
    return out[:used]


cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= c <= c'f':
        return c - c'a' + 10
    if c'A' <= c <= c'F':
        return c - c'A' + 10
    return -1


@cython.final
cdef class TargetCache:

    def __cinit__(self, str script_name=None):
        self.script_name = script_name
        memset(self.entries, 0, sizeof(self.entries))

    def __dealloc__(self):
        for i in range(TARGET_SLOTS):
            Py_XDECREF(self.entries[i])

    cdef Target make(self, const fs_request_head *head):
        cdef Target target = Target.__new__(Target)
        target.key = PyBytes_FromStringAndSize(head.target.p, head.target.n)
        target.raw_path = PyBytes_FromStringAndSize(head.path.p, head.path.n)
        target.query = PyBytes_FromStringAndSize(head.query.p, head.query.n)
        if self.script_name is not None:
            # PEP 3333, "Unicode Issues": bytes as Latin-1.
            if head.flags & FS_HEAD_ESCAPED:
                path = unescape(head.path.p, head.path.n).decode("latin-1")
            else:
                path = PyUnicode_DecodeLatin1(head.path.p, head.path.n, NULL)
            target.path = path_info(path, self.script_name)
            target.uri = target.key.decode("latin-1")
            target.query_string = target.query.decode("latin-1")
        elif head.flags & FS_HEAD_ESCAPED:
            # Invalid UTF-8 is replaced: the ASGI specification leaves this open.
            target.path = unescape(head.path.p, head.path.n).decode("utf-8", "replace")
        else:
            target.path = PyUnicode_DecodeLatin1(head.path.p, head.path.n, NULL)
        return target

    cdef Target find(self, const fs_request_head *head):
        cdef uint64_t h
        cdef PyObject **place
        cdef Target target
        if head.target.n > TARGET_MAX:
            return self.make(head)
        h = hash_bytes(hash_seed ^ head.target.n, head.target.p, head.target.n)
        place = &self.entries[(h ^ (h >> 32)) % TARGET_SLOTS]
        if place[0] != NULL:
            target = <Target>place[0]
            if bytes_equal(target.key, head.target.p, head.target.n):
                return target
        target = self.make(head)
        Py_INCREF(target)
        Py_XDECREF(place[0])
        place[0] = <PyObject *>target
        return target


cdef str path_info(str path, str script_name):
    """Returns the rest of a path below the application's mount point (RFC 3875 section 4.1.5)."""
    if script_name and (path == script_name or path.startswith(script_name + "/")):
        return path[len(script_name):]
    return path
