# What ext/core uses of ext/base. The contracts stand in the headers.

cdef extern from "base/slice.h" nogil:
    ctypedef struct fs_slice:
        const char *p
        size_t n


cdef extern from "base/allocator.h" nogil:
    ctypedef struct fs_allocator:
        pass
    const fs_allocator fs_system_allocator
