cdef class Sibling:
    cdef object number                  # by which it is forgotten
    cdef int fd                         # owned: leads to its mailbox
    cdef Py_buffer *memory              # owned: where its status lies; hidden from the garbage collector like the driver's own
    cdef const fs_status *status
    cdef uint64_t turns                 # of it, when it was last given a connection
    cdef uint64_t taken                 # what it had taken over when it was last looked at
    cdef uint64_t given                 # connections that it may not have taken yet
    cdef uint64_t on_their_way(self) noexcept
    cdef void give(self) noexcept
    cdef raises close(self) except -1
