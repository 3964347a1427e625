cdef class AccessLog:
    cdef int fd                         # -1: off; not owned
    cdef char *buffer
    cdef size_t used
    cdef uint64_t oldest                # monotonic ms of the first waiting line, 0 when none waits
    cdef int64_t second                 # the second for which `date` stands
    cdef char date[48]
    cdef size_t date_len
    cdef fs_log_file file               # how `fd` is written to
    cdef bint losing                    # lines could not be written, and that was logged
    cdef uint64_t retry_at              # monotonic ms: when a stalled reader is tried again; 0 while it reads
    cdef Py_ssize_t missed              # lines that were lost since then
    cdef fs_status *status              # the driver's
    cdef object logger
    cdef void set_time(self, int64_t second) noexcept
    cdef void line(self, object client, object method, object raw_path, object query, int version, int status,
                   uint64_t size, uint64_t microseconds, uint64_t now) noexcept
    cdef void flush(self) noexcept
    cdef void forget(self) noexcept
    cdef bint make_room(self, uint64_t now) noexcept
    cdef void finish(self) noexcept
    cdef void say_losing(self, int error) noexcept
