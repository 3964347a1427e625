# What a driver keeps of refusals until they are logged.
cdef class Refusals:
    cdef list waiting                   # (text, arguments) of this batch
    cdef fs_bucket bucket               # lines that may be written
    cdef uint64_t left_out              # since the last line
    cdef raises write(self, object logger) except -1
