# TLS as a filter below a connection: Python's ssl over memory BIOs. Ciphertext is received into the worker's buffer and
# handed over; the plaintext comes back into the same buffer, where every protocol finds it as if it had been received.

cdef enum:
    HANDSHAKES_A_TURN = 16      # a handshake costs as much as a hundred requests
    TLS_ROOM = 32768            # of the receive buffer, in addition: OpenSSL may still hold part of an earlier record
    RECORD_MAX = 16384          # bytes of plaintext in a record (RFC 8446 section 5.1)
    CIPHER_STEP = 65536         # bytes that are encrypted by one call: they stay in the CPU's cache
    CIPHER_AHEAD = 262144       # bytes that are encrypted before the socket is tried again

cdef object WANT_READ = ssl.SSLWantReadError

# The ssl module does not raise what is wrong with a server name, nor what an sni_callback raises: it writes a traceback
# to stderr, by sys.unraisablehook. While a step of a handshake runs, the hook is ours, for this thread.
cdef dict unraised = {}             # by thread
cdef object unraisable_hook = None  # the hook of others
cdef set passing_on = set()         # threads inside that hook


def note_unraisable(unraisable):
    cdef list noted = unraised.get(PyThread_get_thread_ident())
    if noted is None:
        pass_on(unraisable)
    else:
        noted.append(unraisable)


cdef raises pass_on(object unraisable) except -1:
    """Passes somebody else's exception on to the earlier hook. A hook that was put around ours calls ours again."""
    thread = PyThread_get_thread_ident()
    if thread in passing_on or unraisable_hook is None:
        sys.__unraisablehook__(unraisable)
        return 0
    passing_on.add(thread)
    try:
        unraisable_hook(unraisable)
    finally:
        passing_on.discard(thread)


cdef raises hear_unraisable(list noted) except -1:
    global unraisable_hook
    if sys.unraisablehook is not note_unraisable:
        unraisable_hook = sys.unraisablehook
        sys.unraisablehook = note_unraisable
    unraised[PyThread_get_thread_ident()] = noted


cdef raises unhear_unraisable() except -1:
    unraised.pop(PyThread_get_thread_ident(), None)
    if not unraised and sys.unraisablehook is note_unraisable:
        sys.unraisablehook = unraisable_hook


@cython.final
cdef class TLSFilter:
    """One connection's TLS. The connection reads its state; nobody else changes it."""

    def __cinit__(self, object settings):
        self.settings = settings
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.ssl = settings.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.state = TLS_HANDSHAKE
        self.no_bytes_yet = True

    def __dealloc__(self):
        fs_outqueue_clear(&self.wire)

    cdef int shake(self, object logger) except -1:
        """Takes a step of the handshake. Returns 1 when it is done. Raises OpenSSL's error, with the alert on the
        wire."""
        cdef list noted = []
        cdef bint done = False
        hear_unraisable(noted)
        try:
            self.ssl.do_handshake()
            done = True
        except WANT_READ:
            pass
        except ssl.SSLError as error:
            self.collect()
            if noted and getattr(error, "reason", None) == "CALLBACK_FAILED":
                raise self.not_raised(noted.pop(), logger) from None
            raise
        finally:
            unhear_unraisable()
            for each in noted:
                pass_on(each)       # such as that of an object that was collected meanwhile
        self.collect()
        if done:
            self.state = TLS_OPEN
        return done

    cdef object not_raised(self, object unraisable, object logger):
        """Returns what failed in the choice of a certificate by name; logs what is not the client's fault."""
        trace = unraisable.exc_traceback
        # A failure before any callback was called comes from the frame that called the handshake.
        if isinstance(unraisable.exc_value, UnicodeDecodeError) and (
                trace is None or trace.tb_frame.f_code.co_name == "do_handshake"):
            return ssl.SSLError(ssl.SSL_ERROR_SSL, "the server name is not ASCII")
        report(logger, LOG_ERROR, "exception in the sni_callback of the TLS context", (), unraisable.exc_value)
        return ssl.SSLError(ssl.SSL_ERROR_SSL, "no certificate could be chosen")

    cdef Py_ssize_t decrypt(self, char *place, size_t room, object view) except -1:
        """Decrypts all incoming bytes. Returns how much plaintext there is; `view` is a memoryview over `place`. Sets
        `ended` if the peer has said that it sends no more."""
        cdef size_t filled = 0
        cdef Py_ssize_t n
        while filled < room:
            try:
                n = self.ssl.read(room - filled,
                                  view if filled == 0 else PyMemoryView_FromMemory(place + filled, room - filled, PyBUF_WRITE))
            except WANT_READ:
                self.collect()      # the answer to a KeyUpdate, for example
                break
            except ssl.SSLZeroReturnError:
                n = 0
            if n == 0:
                self.peer_closed = True
                break
            filled += n
            # A read that finds nothing raises, which costs more than a look.
            if self.incoming.pending == 0 and (filled < room or self.ssl.pending() == 0):
                break
        return filled

    cdef int encrypt(self, fs_outqueue *queue) except? -1:
        """Takes as much plaintext off the queue as is worth sending at once. Returns 0, or -errno if a file fails."""
        cdef const char *p
        cdef size_t n, taken = 0
        cdef int result
        while queue.size and (taken < CIPHER_AHEAD or queue.size < RECORD_MAX):
            result = fs_outqueue_peek(queue, &p, &n)
            if result < 0:
                return result
            if n >= CIPHER_STEP or n == queue.size:
                n = self.ssl.write(PyMemoryView_FromMemory(<char *>p, min(n, CIPHER_STEP), PyBUF_READ))
                self.passed += n
                fs_outqueue_consume(queue, n)
            else:
                n = self.encrypt_runs(queue)
            self.collect()
            taken += n
        return 0

    cdef Py_ssize_t encrypt_runs(self, fs_outqueue *queue) except -1:
        """Puts small runs into one record: a head and the beginning of its body, frames of HTTP/2 with their
        headers."""
        # Not on the stack: a thread's may have 128 KiB.
        cdef bytes plain = PyBytes_FromStringAndSize(NULL, min(queue.size, CIPHER_STEP))
        cdef char *place = PyBytes_AS_STRING(plain)
        cdef const char *p
        cdef size_t n, filled = 0
        while queue.size and filled < CIPHER_STEP:
            if fs_outqueue_peek(queue, &p, &n) < 0:
                break               # said again by the next peek
            if n < CIPHER_STEP:
                n = min(n, CIPHER_STEP - filled)
            elif filled % RECORD_MAX == 0 and filled:
                break               # it goes without being copied
            else:
                n = RECORD_MAX - filled % RECORD_MAX
            memcpy(place + filled, p, n)
            filled += n
            self.passed += n
            fs_outqueue_consume(queue, n)
        self.ssl.write(PyMemoryView_FromMemory(place, filled, PyBUF_READ))
        return filled

    cdef raises collect(self) except -1:
        """Puts what OpenSSL has written on the wire."""
        cdef bytes made = self.outgoing.read()
        if PyBytes_GET_SIZE(made) and fs_outqueue_share(&self.wire, PyBytes_AS_STRING(made), PyBytes_GET_SIZE(made),
                                                        <void *>made) < 0:
            raise MemoryError()
        return 0

    cdef raises say_goodbye(self) except -1:
        """Sends close_notify, by which the peer can tell that nothing was cut off (RFC 8446 section 6.1)."""
        if self.state == TLS_OPEN:
            self.state = TLS_CLOSED
            try:
                self.ssl.unwrap()
            except ssl.SSLError:
                pass                # WANT_READ: the peer's close_notify has not come, and nobody waits for it
            self.collect()
        return 0


cdef inline bint speaks_http(const char *p, size_t n) noexcept:
    """Whether the first bytes of a connection begin a request line, and not a TLS record."""
    cdef size_t i
    for i in range(min(n, 8)):
        if p[i] == c' ':
            return i > 0
        if not c'A' <= p[i] <= c'Z':
            return False
    return n > 0


cdef TLSFilter open_filter(object settings, fs_outpool *pool):
    """Returns a new filter. `settings` is a fastserve.tls.contexts.TLS; `pool` outlives the filter."""
    cdef TLSFilter tls = TLSFilter.__new__(TLSFilter, settings)
    fs_outqueue_init(&tls.wire, pool)
    return tls
