cdef class Listener:
    cdef int fd                         # not owned; -1 once it is no longer watched
    cdef bint shared
    cdef bint mailbox                   # not a listener, but where siblings put connections that they have accepted
    cdef uint64_t name                  # the same for this address in every worker; 0: no connection is handed over
    cdef object tls                     # fastserve.tls.contexts.TLS, or None: its connections are plain
    cdef int redirect                   # the https port that a plain listener redirects to, or 0
    cdef uint32_t slot
    cdef tuple server                   # (host, port) or (path, None); None where each connection has its own
