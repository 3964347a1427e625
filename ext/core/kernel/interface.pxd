# How an application is called, and what drives the driver: an event loop, or threads.
cdef class Interface:
    cdef Driver driver                  # None before `attach`, and once the driver is closed
    cdef Exchange open(self, const fs_request_head *head)   # for the next request
    cdef raises attach(self, Driver driver) except -1
    cdef raises detach(self) except -1
    cdef bint takes_websockets(self) noexcept
    cdef int refusal(self, const fs_request_head *head) noexcept    # why there is no room for its body; FS_OK: there is
    cdef raises wake(self) except -1       # a turn was scheduled
    cdef raises drop_spares(self) except -1 # drops what is kept for the next request
    cdef raises forget(self) except -1     # in a forked child, as Driver.forget_after_fork
    cdef raises beat(self) except -1       # as often as the worker shows that it is alive
    cdef Py_ssize_t busy(self) noexcept # calls of the application that have not ended
    cdef Py_ssize_t cancel(self) except -1
