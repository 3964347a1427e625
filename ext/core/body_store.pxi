# The body of a request, kept until all of it is there: an application that blocks never waits for a slow client. In
# memory up to a limit, in a file without a name beyond it.

cdef object BytesIO = io.BytesIO


class StorageError(OSError):
    """A body cannot be put into its file: the disk is full, say."""


@cython.final
cdef class BodyStore:

    def __cinit__(self, uint64_t limit, int64_t length):
        self.limit = limit
        self.length = length
        if length >= 0:
            if <uint64_t>length > limit:
                self.spill()
            else:
                self.whole = PyBytes_FromStringAndSize(NULL, length)
        else:
            self.pieces = []

    cdef char *room(self, size_t wanted, size_t *given) except NULL:
        """Where the next bytes of an announced length go."""
        if self.whole is not None:
            given[0] = min(wanted, <size_t>(<uint64_t>self.length - self.size))
            return PyBytes_AS_STRING(self.whole) + self.size
        given[0] = min(wanted, self.scratch_size)
        return self.scratch

    cdef int filled(self, size_t n) except -1:
        """n bytes have been received to the place that `room` gave."""
        if self.whole is None:
            self.to_file(self.scratch, n)
        self.size += n

    cdef int add(self, const char *p, size_t n) except -1:
        if self.whole is not None:
            memcpy(PyBytes_AS_STRING(self.whole) + self.size, p, n)
        elif self.file is None and self.size + n > self.limit:
            self.spill()
            self.to_file(p, n)
        elif self.file is not None:
            self.to_file(p, n)
        else:
            self.pieces.append(PyBytes_FromStringAndSize(p, n))
        self.size += n

    cdef int spill(self) except -1:
        pieces, self.pieces = self.pieces, None
        try:
            self.file = tempfile.TemporaryFile(prefix="fastserve-", buffering=0)
        except OSError as error:
            raise StorageError(error.errno, error.strerror) from None
        for piece in pieces or ():
            self.to_file(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))

    cdef int to_file(self, const char *p, size_t n) except -1:
        cdef int fd = self.file.fileno()
        cdef ssize_t written
        while n:
            written = c_write(fd, p, n)
            if written < 0:
                if errno == EINTR:
                    continue
                raise StorageError(errno, os.strerror(errno))
            p += written
            n -= written

    cdef object input(self):
        """wsgi.input: it ends where the body does, and nothing of it has to be waited for."""
        if self.file is not None:
            self.file.seek(0)
            return io.BufferedReader(self.file)
        if self.whole is not None:
            return BytesIO(self.whole)
        return BytesIO(self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces))
