# A file that is being sent, with a descriptor of our own.

@cython.final
cdef class OpenFile:
    """Owns a descriptor as long as a queue or an exchange refers to this object."""

    cdef int fd

    def __dealloc__(self):
        if self.fd >= 0:
            fs_close(self.fd)


cdef OpenFile own_descriptor(int fd):
    cdef OpenFile file = OpenFile.__new__(OpenFile)
    file.fd = fd
    return file
