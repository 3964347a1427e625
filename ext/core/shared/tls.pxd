cdef enum TLSState:
    TLS_HANDSHAKE
    TLS_OPEN
    TLS_CLOSED              # our close_notify has gone


cdef class TLSFilter:
    cdef object settings                # fastserve.tls.contexts.TLS
    cdef object ssl                     # ssl.SSLObject
    cdef object incoming, outgoing      # ssl.MemoryBIO
    cdef fs_outqueue wire               # ciphertext that waits to be sent
    cdef uint64_t passed                # bytes of plaintext that were enciphered
    cdef TLSState state
    cdef bint no_bytes_yet              # no byte has come yet
    cdef bint peer_closed               # the peer's close_notify has come
    cdef int shake(self, object logger) except -1
    cdef object not_raised(self, object unraisable, object logger)
    cdef Py_ssize_t decrypt(self, char *place, size_t room, object view) except -1
    cdef int encrypt(self, fs_outqueue *queue) except? -1
    cdef Py_ssize_t encrypt_runs(self, fs_outqueue *queue) except -1
    cdef raises collect(self) except -1
    cdef raises say_goodbye(self) except -1
