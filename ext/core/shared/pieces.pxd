cdef class Pieces:
    cdef bytes last                     # the newest piece, None: there is none
    cdef list before                    # those before it; None nearly always
    cdef size_t tail                    # bytes of the last one: it may have room for more
    cdef size_t size                    # of all
    cdef size_t cost                    # memory of all
    cdef PyObject *filling              # owned: bytes that are being received
    cdef char *room(self, size_t wanted) except NULL
    cdef raises filled(self, size_t n) except -1
    cdef raises add(self, const char *p, size_t n) except -1
    cdef raises append(self, bytes piece) except -1
    cdef bint make_room(self, size_t n) except -1
    cdef raises trim(self) except -1
    cdef bytes take(self)
    cdef raises clear(self) except -1
