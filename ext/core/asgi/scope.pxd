# Places of a scope's keys: the order in which they stand in the dict.
cdef enum ScopeKey:
    SCOPE_TYPE
    SCOPE_ASGI
    SCOPE_HTTP_VERSION
    SCOPE_SERVER
    SCOPE_CLIENT
    SCOPE_SCHEME
    SCOPE_METHOD
    SCOPE_ROOT_PATH
    SCOPE_PATH
    SCOPE_RAW_PATH
    SCOPE_QUERY_STRING
    SCOPE_HEADERS
    SCOPE_EXTENSIONS
    SCOPE_SIZE
    # "state" follows where there is one


cdef class ScopeBuilder:
    cdef str root_path
    cdef bint underscores               # whether fields whose names have an underscore are passed on
    cdef object state                   # None or lifespan's state, copied for each request
    cdef FieldCache fields
    cdef TargetCache targets
    cdef ClientCache clients            # None: no proxy has named one yet
    cdef dict prototype
    cdef PyObject *given[SCOPE_SIZE]    # the values in the prototype, in the order of SCOPE_KEYS
    cdef dict asgi_template
    cdef dict asgi_with_body
    cdef dict asgi                      # of the last scope
    cdef tuple asgi_items               # its keys and values in turn, as they were given out
    cdef dict extensions                # of the last scope
    cdef tuple extensions_items
    cdef tuple extension_names          # that it was made of, one of the next three
    cdef tuple extensions_1_1
    cdef tuple extensions_trailers
    cdef tuple extensions_1_0
    cdef Target target                  # of the last scope
    cdef object method                  # likewise
    cdef dict build(self, fs_request_head *head, Connection connection)
    cdef tuple known_client(self, const fs_forwarded *said)
    cdef list headers(self, fs_request_head *head)
    cdef list headers_without_underscores(self, fs_request_head *head)
    cdef raises place(self, int key, PyObject *value) except -1
    cdef raises choose_extensions(self, fs_request_head *head) except -1
