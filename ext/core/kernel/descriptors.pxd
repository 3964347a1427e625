# One place in the driver's table of descriptors. epoll carries (generation, index) instead of a pointer, so that an
# event for a descriptor that a forked child keeps alive can never reach a freed object.
ctypedef struct Slot:
    PyObject *owner         # strong: a Connection, a Listener or a Watch; NULL when free
    uint32_t generation
    uint32_t next_free


cdef class Watch:
    cdef int fd                         # not owned; -1 once it is no longer watched
    cdef uint32_t slot
    cdef bint due                       # it is in Driver.watches_due
    cdef object callback
