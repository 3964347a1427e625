# A file that is being sent: its descriptor is ours.

@cython.final
cdef class OpenFile:
    """Owns a descriptor for as long as a queue or an exchange refers to it."""

    cdef int fd

    def __dealloc__(self):
        if self.fd >= 0:
            fs_close(self.fd)


cdef OpenFile own_descriptor(int fd):
    cdef OpenFile file = OpenFile.__new__(OpenFile)
    file.fd = fd
    return file
