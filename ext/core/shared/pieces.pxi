# A client's bytes, which come in pieces and are taken together. A piece of two bytes would be an object of fifty: small
# pieces are joined as they come, so that they cost little more than their bytes, and the cost is known.

cdef enum:
    PIECE_JOINED = 4096         # smaller ones are copied to the end of the piece before them,
    PIECE_BLOCK = 16384         # as far as that stays smaller than this


@cython.final
cdef class Pieces:

    def __dealloc__(self):
        Py_XDECREF(self.filling)

    cdef char *room(self, size_t wanted) except NULL:
        """Returns where `wanted` bytes may be received to. A call of `filled` follows each, with 0 if none came."""
        Py_XDECREF(self.filling)
        self.filling = NULL
        self.filling = new_bytes(NULL, wanted)
        return PyBytes_AS_STRING(<object>self.filling)

    cdef raises filled(self, size_t n) except -1:
        cdef PyObject *raw = self.filling
        cdef bytes piece
        self.filling = NULL
        if n == 0:
            Py_DECREF(<object>raw)
            return 0
        if <Py_ssize_t>n < PyBytes_GET_SIZE(<object>raw):
            _PyBytes_Resize(&raw, n)
        piece = <bytes>raw
        Py_DECREF(piece)
        self.append(piece)

    cdef raises add(self, const char *p, size_t n) except -1:
        """Adds a copy of n bytes, at least one."""
        if self.last is None:
            self.last = PyBytes_FromStringAndSize(p, n)
            self.tail = n
            self.cost += n + FS_BUDGET_OBJECT
        elif n < PIECE_JOINED and self.make_room(n):
            memcpy(PyBytes_AS_STRING(self.last) + self.tail, p, n)
            self.tail += n
        else:
            self.append(PyBytes_FromStringAndSize(p, n))
            return 0
        self.size += n

    cdef raises append(self, bytes piece) except -1:
        """Adds an object that nobody else will change."""
        cdef size_t n = PyBytes_GET_SIZE(piece)
        if self.last is not None:
            if n < PIECE_JOINED and self.make_room(n):
                memcpy(PyBytes_AS_STRING(self.last) + self.tail, PyBytes_AS_STRING(piece), n)
                self.tail += n
                self.size += n
                return 0
            self.trim()
            if self.before is None:
                self.before = [self.last]
            else:
                self.before.append(self.last)
        self.last = piece
        self.tail = n
        self.size += n
        self.cost += n + FS_BUDGET_OBJECT

    cdef bint make_room(self, size_t n) except -1:
        """Enlarges the last piece for n more bytes. Returns whether they fit."""
        cdef size_t room = PyBytes_GET_SIZE(self.last)
        cdef bytes grown
        if n <= room - self.tail:
            return True
        if self.tail + n > PIECE_BLOCK:
            return False
        # A new object in any case: the old one may have other owners, as a single byte does.
        grown = PyBytes_FromStringAndSize(NULL, min(<size_t>PIECE_BLOCK, max(2 * room, self.tail + n)))
        memcpy(PyBytes_AS_STRING(grown), PyBytes_AS_STRING(self.last), self.tail)
        self.last = grown
        self.cost += PyBytes_GET_SIZE(grown) - room
        return True

    cdef raises trim(self) except -1:
        """Cuts the last piece to what it holds."""
        cdef size_t room = PyBytes_GET_SIZE(self.last)
        cdef PyObject *raw
        if self.tail == room:
            return 0
        raw = <PyObject *>self.last
        Py_INCREF(self.last)
        self.last = None
        _PyBytes_Resize(&raw, self.tail)
        self.last = <bytes>raw
        Py_DECREF(self.last)
        self.cost -= room - self.tail

    cdef bytes take(self):
        """Returns everything, once."""
        cdef bytes whole
        if self.last is None:
            return b""
        self.trim()
        whole = self.last
        if self.before is not None:
            self.before.append(whole)
            whole = b"".join(self.before)
        self.clear()
        return whole

    cdef raises clear(self) except -1:
        self.last = self.before = None
        self.size = self.cost = self.tail = 0
