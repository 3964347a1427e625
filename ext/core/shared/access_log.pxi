# The access log: one line a request in the Common Log Format, followed by the duration in seconds. Lines are
# formatted into a buffer as the responses end and written in batches, so that a request never waits for the file.

cdef enum:
    LOG_BUFFER = 131072
    LOG_FLUSH_AT = 49152
    LOG_LINE_FIXED = 160        # bytes of a line besides client, method and target
    LOG_TARGET_MAX = 4096       # bytes of a target that are logged
    LOG_LINE_MAX = 34048        # most bytes of a line: the fixed part, two targets and a client, escaped
    LOG_AGE_MS = 500            # a line waits no longer than this (never a second)
    LOG_RETRY_MS = 100          # a stalled reader is tried again after this time
    LOG_FINISH_MS = 1000        # and gets this time at the end


cdef inline char *put(char *q, const char *p, size_t n) noexcept nogil:
    memcpy(q, p, n)
    return q + n


cdef inline char *put_escaped(char *q, const char *p, size_t n) noexcept nogil:
    # A quote, a backslash, control bytes and bytes above 0x7e leave as \xNN: a line cannot be forged.
    cdef const char *digits = "0123456789abcdef"
    cdef size_t i
    cdef unsigned char c
    for i in range(n):
        c = <unsigned char>p[i]
        if c < 0x20 or c > 0x7e or c == c'"' or c == c'\\':
            q[0] = c'\\'
            q[1] = c'x'
            q[2] = digits[c >> 4]
            q[3] = digits[c & 15]
            q += 4
        else:
            q[0] = c
            q += 1
    return q


@cython.final
cdef class AccessLog:

    def __cinit__(self):
        self.fd = -1
        fs_log_file_open(&self.file, -1)

    def __dealloc__(self):
        fs_log_file_close(&self.file)
        free(self.buffer)

    cdef void set_time(self, int64_t second) noexcept:
        cdef time_t t = <time_t>second
        cdef tm parts
        if second == self.second:
            return
        self.second = second
        gmtime_r(&t, &parts)
        self.date_len = strftime(self.date, sizeof(self.date), " - - [%d/%b/%Y:%H:%M:%S +0000] \"", &parts)

    cdef void line(self, object client, object method, object raw_path, object query, int version, int status,
                   uint64_t size, uint64_t microseconds, uint64_t now) noexcept:
        """Adds a line. Method and path may be None, for a request that was refused before it was understood."""
        cdef char *q
        cdef Py_ssize_t n = 0
        cdef const char *host = NULL
        if client is not None and type(client[0]) is str:
            host = PyUnicode_AsUTF8AndSize(client[0], &n)
            if host == NULL:
                PyErr_Clear()
        if n > 256:
            n = 256
        if not self.make_room(now):
            return
        if self.oldest == 0:
            self.oldest = now
        q = self.buffer + self.used
        q = put_escaped(q, host, n) if host != NULL else put(q, "-", 1)
        q = put(q, self.date, self.date_len)
        if method is None:
            q = put(q, "-", 1)
        else:
            host = PyUnicode_AsUTF8AndSize(method, &n)
            q = put_escaped(q, host, min(n, 64)) if host != NULL else q
            q = put(q, " ", 1)
            q = put_escaped(q, PyBytes_AS_STRING(raw_path), min(PyBytes_GET_SIZE(raw_path), LOG_TARGET_MAX))
            if PyBytes_GET_SIZE(query):
                q = put(q, "?", 1)
                q = put_escaped(q, PyBytes_AS_STRING(query), min(PyBytes_GET_SIZE(query), LOG_TARGET_MAX))
            q = put(q, " HTTP/1.0" if version == FS_HTTP_1_0 else " HTTP/1.1" if version == FS_HTTP_1_1 else " HTTP/2.0", 9)
        q = put(q, "\" ", 2)
        q += fs_decimal(q, status)
        q = put(q, " ", 1)
        q += fs_decimal(q, size)
        q = put(q, " ", 1)
        q += fs_decimal(q, microseconds // 1000000)
        q[0] = c'.'
        microseconds %= 1000000
        for i in range(6):
            q[6 - i] = c'0' + <char>(microseconds % 10)
            microseconds //= 10
        q[7] = c'\n'
        self.used = q + 8 - self.buffer
        if self.used >= LOG_FLUSH_AT and now >= self.retry_at:
            self.flush()

    cdef void flush(self) noexcept:
        """Writes as much as there is room for. The rest stays, within the buffer's bounds, and is tried again."""
        cdef ssize_t n
        if self.fd < 0 or self.used == 0:
            self.oldest = 0
            return
        n = fs_log_file_write(&self.file, self.buffer, self.used)
        if n < 0:
            for i in range(self.used):
                self.status.access_log_dropped += self.buffer[i] == c'\n'
            self.used = 0
            self.oldest = 0
            self.retry_at = 0
            self.say_losing(<int>-n)
            return
        self.used -= n
        if self.used:
            memmove(self.buffer, self.buffer + n, self.used)
            self.oldest = fs_monotonic_ms()
            self.retry_at = self.oldest + LOG_RETRY_MS
            return
        self.oldest = 0
        self.retry_at = 0
        if self.missed:
            n, self.missed = self.missed, 0
            self.losing = False
            report(self.logger, LOG_WARNING, "the access log is read again: %d lines were lost meanwhile", (n,))

    cdef void forget(self) noexcept:
        """In a forked child: drops what waits, since the parent writes it."""
        self.used = self.missed = 0
        self.oldest = 0
        self.fd = -1
        fs_log_file_close(&self.file)

    cdef bint make_room(self, uint64_t now) noexcept:
        """Makes room for another line. Returns whether it fits. A stalled reader is not tried for each line."""
        if self.used + LOG_LINE_MAX <= LOG_BUFFER:
            return True
        if now >= self.retry_at:
            self.flush()
        if self.used + LOG_LINE_MAX <= LOG_BUFFER:
            return True
        self.missed += 1
        self.status.access_log_dropped += 1
        self.say_losing(EAGAIN)
        return False

    cdef void finish(self) noexcept:
        """Writes the rest; a stalled reader gets a second."""
        cdef uint64_t until = fs_monotonic_ms() + LOG_FINISH_MS
        self.flush()
        while self.used and fs_monotonic_ms() < until:
            fs_log_file_wait(&self.file, 100)
            self.flush()

    cdef void say_losing(self, int error) noexcept:
        # Logged once: a full disk must not flood the error log too.
        if not self.losing:
            self.losing = True
            report(self.logger, LOG_ERROR, "the access log cannot be written (%s): lines are lost from here on",
                   ("nobody reads it" if error == EAGAIN else os.strerror(error),))


cdef AccessLog open_access_log(int fd, fs_status *status, object logger):
    """Returns a log that writes to `fd`, the caller's; -1: no log. `status` counts lost lines, and outlives the log."""
    cdef AccessLog log = AccessLog.__new__(AccessLog)
    log.status = status
    log.logger = logger
    if fd >= 0:
        log.buffer = <char *>malloc(LOG_BUFFER)
        if log.buffer == NULL:
            raise MemoryError()
        log.fd = fd
        fs_log_file_open(&log.file, fd)
    return log
