cdef class FieldCache:
    cdef PyObject *entries[1024]        # strong (name, value) tuples; direct-mapped
    cdef tuple known(self, const fs_field *field)


cdef class TargetCache:
    cdef PyObject *entries[256]         # strong Target objects; direct-mapped
    cdef str script_name                # WSGI: the prefix that is removed from a path; None: ASGI
    cdef Target find(self, const fs_request_head *head)
    cdef Target make(self, const fs_request_head *head)


cdef class Target:
    cdef bytes key                      # the target as sent
    cdef str path                       # decoded: from UTF-8 for ASGI, from Latin-1 for WSGI
    cdef bytes raw_path
    cdef bytes query
    cdef str uri                        # WSGI: key and query as native strings (PEP 3333); None for ASGI
    cdef str query_string
