cdef class Listener:
    cdef int fd                         # not owned; -1 once it is no longer watched
    cdef bint shared
    cdef bint mailbox                   # no listener, but where siblings put connections that they have accepted
    cdef uint64_t name                  # the same for this address in every worker; 0: what it accepts is not handed over
    cdef object tls                     # fastserve.tls.contexts.TLS, or None: its connections are plain
    cdef int redirect                   # the https port that a plain one redirects to, 0
    cdef uint32_t slot
    cdef tuple server                   # (host, port) or (path, None); None where each connection has its own
