# The body of a request, kept until the whole body has come: an application that blocks never waits for a slow client.
# In memory up to a limit; beyond it, or if the worker's memory for bodies is full, in a file without a name.

cdef object BytesIO = io.BytesIO

cdef enum:
    BODY_IN_PLACE = 65536       # an announced length up to which room is made before the bytes have come


class StorageError(OSError):
    """A body cannot be written to its file, for example because the disk is full."""


class BodyFile(io.FileIO):
    """Returns its bytes to the worker when it is closed: by its application, or when nobody refers to it any more. No
    ResourceWarning if the application has not closed it: it is not expected to close its input."""

    def __init__(self, int fd, Driver driver):
        self.driver = driver
        self.charged = 0
        io.FileIO.__init__(self, fd, "r+b")

    def close(self):
        cdef Driver driver = self.driver
        self.driver = None
        if driver is not None:
            fs_budget_give(&driver.files, self.charged)
            driver.status.body_files = driver.files.used
        io.FileIO.close(self)

    def __del__(self):
        self.close()

    def _dealloc_warn(self, source):
        """Does nothing. Called by a BufferedReader that was not closed."""


cdef object new_body_file(Driver driver):
    try:
        with tempfile.TemporaryFile(prefix="fastserve-", buffering=0) as unnamed:
            return BodyFile(os.dup(unnamed.fileno()), driver)
    except OSError as error:
        raise StorageError(error.errno, error.strerror) from None


@cython.final
@cython.no_gc_clear     # __dealloc__ needs the driver
cdef class BodyStore:

    def __cinit__(self, Driver driver not None, int64_t length):
        self.driver = driver
        self.length = length
        if length >= 0 and <uint64_t>length > driver.limits.body_buffer:
            self.spill()
        elif length < 0 or length > BODY_IN_PLACE:
            self.pieces = Pieces.__new__(Pieces)
        elif self.afford(length + FS_BUDGET_OBJECT):
            self.whole = PyBytes_FromStringAndSize(NULL, length)
        else:
            self.spill()

    def __dealloc__(self):
        fs_budget_give(&self.driver.memory, self.charged)

    cdef bint afford(self, uint64_t cost) noexcept:
        """Sets what it is charged of the worker's memory. Returns whether there is room for that."""
        cdef fs_budget *memory = &self.driver.memory
        if cost > self.charged and fs_budget_take(memory, cost - self.charged) < 0:
            return False
        if cost < self.charged:
            fs_budget_give(memory, self.charged - cost)
        self.charged = cost
        return True

    cdef char *room(self, size_t wanted, size_t *given) except NULL:
        """Returns where the next bytes of an announced length go."""
        given[0] = wanted
        if self.whole is not None:
            given[0] = min(wanted, <size_t>(<uint64_t>self.length - self.size))
            return PyBytes_AS_STRING(self.whole) + self.size
        if self.pieces is not None:
            return self.pieces.room(wanted)
        given[0] = min(wanted, self.driver.buffer_size)
        return self.driver.buffer

    cdef int filled(self, size_t n) except 1:
        """Notes n bytes that were received to the place that `room` returned."""
        if self.whole is not None:
            self.size += n
            return FS_OK
        if self.pieces is None:
            return self.add(self.driver.buffer, n)
        self.pieces.filled(n)
        return self.kept(n)

    cdef int add(self, const char *p, size_t n) except 1:
        """Adds bytes. Returns FS_OK, FS_E_NO_ROOM or FS_E_NEVER_FITS; after an error the store is of no more use."""
        cdef int error
        if n == 0:
            return FS_OK
        if self.whole is not None:
            memcpy(PyBytes_AS_STRING(self.whole) + self.size, p, n)
        elif self.pieces is not None:
            self.pieces.add(p, n)
            return self.kept(n)
        else:
            error = self.to_file(p, n, self.size + n)
            if error < 0:
                return error
        self.size += n
        return FS_OK

    cdef int kept(self, size_t n) except 1:
        """Charges n bytes that were added to the pieces, or moves the body to a file."""
        self.size += n
        if self.size <= self.driver.limits.body_buffer and self.afford(self.pieces.cost):
            return FS_OK
        return self.spill()

    cdef int spill(self) except 1:
        """Moves the body from memory to a file."""
        cdef bytes held = self.pieces.take() if self.pieces is not None else b""
        self.pieces = None
        self.afford(0)
        self.file = new_body_file(self.driver)
        return self.to_file(PyBytes_AS_STRING(held), PyBytes_GET_SIZE(held), PyBytes_GET_SIZE(held))

    cdef int to_file(self, const char *p, size_t n, uint64_t size) except 1:
        """Writes n bytes to the file. `size`: the body's size with them."""
        cdef fs_budget *files = &self.driver.files
        cdef int fd = self.file.fileno()
        cdef ssize_t written
        if fs_budget_take(files, n) < 0:
            return FS_E_NEVER_FITS if size > files.most else FS_E_NO_ROOM
        self.file.charged += n
        while n:
            written = c_write(fd, p, n)
            if written < 0:
                if errno == EINTR:
                    continue
                raise StorageError(errno, os.strerror(errno))
            p += written
            n -= written
        return FS_OK

    cdef object input(self):
        """Returns wsgi.input, which ends where the body does and never blocks."""
        if self.file is not None:
            self.file.seek(0)
            return io.BufferedReader(self.file)
        return BytesIO(self.whole if self.whole is not None else self.pieces.take())
