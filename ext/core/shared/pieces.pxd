cdef class Pieces:
    cdef bytes last                     # the newest piece, or None
    cdef list before                    # earlier pieces; None nearly always
    cdef size_t tail                    # bytes of the last piece, which may have room for more
    cdef size_t size                    # bytes of all pieces
    cdef size_t cost                    # memory of all pieces
    cdef PyObject *filling              # owned: a bytes object that is being received into
    cdef char *room(self, size_t wanted) except NULL
    cdef raises filled(self, size_t n) except -1
    cdef raises add(self, const char *p, size_t n) except -1
    cdef raises append(self, bytes piece) except -1
    cdef bint make_room(self, size_t n) except -1
    cdef raises trim(self) except -1
    cdef bytes take(self)
    cdef raises clear(self) except -1
