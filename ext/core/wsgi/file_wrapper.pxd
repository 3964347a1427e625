cdef class FileWrapper:
    cdef readonly object filelike
    cdef readonly object block_size
