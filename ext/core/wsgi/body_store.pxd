# The body of a request on its way to an application that is called when all of it is there. What gives an FS_E_* raises too:
# 1 is then given.
cdef class BodyStore:
    cdef Driver driver
    cdef int64_t length                 # announced, -1: chunked
    cdef uint64_t size                  # received
    cdef bytes whole                    # of a small length that was announced: filled in place
    cdef Pieces pieces                  # otherwise, until they exceed the limit
    cdef object file                    # and then: a BodyFile
    cdef uint64_t charged               # of the driver's memory
    cdef char *room(self, size_t wanted, size_t *given) except NULL
    cdef int filled(self, size_t n) except 1
    cdef int add(self, const char *p, size_t n) except 1
    cdef int kept(self, size_t n) except 1
    cdef bint afford(self, uint64_t cost) noexcept
    cdef int spill(self) except 1
    cdef int to_file(self, const char *p, size_t n, uint64_t size) except 1
    cdef object input(self)
