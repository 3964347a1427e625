# Indices of an environ's keys whose values change from request to request, besides those of the fields.
cdef enum EnvironKey:
    ENV_METHOD
    ENV_PATH_INFO
    ENV_QUERY_STRING
    ENV_REQUEST_URI
    ENV_RAW_URI
    ENV_PROTOCOL
    ENV_SERVER_NAME
    ENV_SERVER_PORT
    ENV_REMOTE_ADDR
    ENV_REMOTE_PORT
    ENV_EARLY_HINTS                     # this and what follows are handles
    ENV_CLIENT_DISCONNECTED
    ENV_WAITRESS_DISCONNECTED           # the same under waitress's name
    ENV_SIZE


# One field of a request as environ has it, shared by all requests of a worker and immutable.
cdef class EnvironField:
    cdef bytes name                     # as received, lower-case
    cdef str key
    cdef str value


cdef class EnvironFields:
    cdef PyObject *entries[1024]        # strong EnvironFields; direct-mapped
    cdef PyObject *keys[256]            # strong (name, key) tuples of unknown names; direct-mapped
    cdef str key_of(self, const fs_field *field)
    cdef EnvironField make(self, const fs_field *field)
    cdef EnvironField known(self, const fs_field *field)


# An environ for requests of one scheme that have the same fields in the same order: the values are those of the last
# one.
cdef class EnvironShape:
    cdef dict environ
    cdef list fields                    # EnvironField objects, None for fields that are not passed on or not kept
    cdef list keys                      # their keys, None for fields that are not passed on
    cdef bint joined                    # a key comes twice: its value is made anew each time
    cdef uint64_t hash
    cdef bint https                     # the scheme of the request, which HTTPS and wsgi.url_scheme say
    cdef PyObject *given[ENV_SIZE]      # borrowed: environ owns them


# A callable in the environ, and in the prototypes from which environs are copied.
cdef class Handle:
    cdef Py_ssize_t held                # its places in prototypes


cdef class EnvironBuilder:
    cdef dict base                      # the constant part of every environ of this worker
    cdef EnvironFields fields
    cdef TargetCache targets
    cdef ClientCache clients            # None: no proxy has named one yet
    cdef bint underscores               # whether names with an underscore are passed on
    cdef list shapes                    # EnvironShape or None; direct-mapped by hash
    cdef tuple peers                    # addresses of the last new connection
    cdef Target target                  # that of the last environ
    cdef str method                     # likewise
    cdef dict build(self, const fs_request_head *head, Connection connection, Handle early_hints,
                    Handle client_disconnected)
    cdef raises forget(self, Handle handle) except -1
    cdef raises clear(self) except -1
    cdef tuple known_client(self, const fs_forwarded *said)
    cdef str host_value(self, const fs_forwarded *said)
    cdef EnvironShape shape_for(self, const fs_request_head *head, bint https)
    cdef EnvironShape new_shape(self, const fs_request_head *head, uint64_t hash, bint https)
    cdef bint fit(self, EnvironShape shape, const fs_request_head *head) except -1
    cdef bint passes(self, const fs_field *field) noexcept
    cdef raises add_secrets(self, dict environ, EnvironShape shape, const fs_request_head *head) except -1
