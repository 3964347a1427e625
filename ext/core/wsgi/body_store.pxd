# The body of a request for an application that is called when the whole body has come. A method that returns an FS_E_*
# may also raise: then it returns 1.
cdef class BodyStore:
    cdef Driver driver
    cdef int64_t length                 # announced, -1: chunked
    cdef uint64_t size                  # received
    cdef bytes whole                    # a body of a small announced length: filled in place
    cdef Pieces pieces                  # otherwise, until they exceed the limit
    cdef object file                    # and then: a BodyFile
    cdef uint64_t charged               # its cost in the driver's memory
    cdef char *room(self, size_t wanted, size_t *given) except NULL
    cdef int filled(self, size_t n) except 1
    cdef int add(self, const char *p, size_t n) except 1
    cdef int kept(self, size_t n) except 1
    cdef bint afford(self, uint64_t cost) noexcept
    cdef int spill(self) except 1
    cdef int to_file(self, const char *p, size_t n, uint64_t size) except 1
    cdef object input(self)
