cdef class Sibling:
    cdef object number                  # the number by which remove_sibling forgets it
    cdef int fd                         # owned: leads to its mailbox
    cdef Py_buffer *memory              # owned: its status; hidden from the garbage collector like the driver's own
    cdef const fs_status *status
    cdef uint64_t turns                 # its turns when it last got a connection
    cdef uint64_t taken                 # connections that it had taken over at the last look
    cdef uint64_t given                 # connections that it may not have taken yet
    cdef uint64_t on_their_way(self) noexcept
    cdef void give(self) noexcept
    cdef raises close(self) except -1
