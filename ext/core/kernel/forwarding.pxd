cdef enum:
    CLIENT_SLOTS = 512


cdef class TrustedProxies:
    cdef fs_trusted peers


cdef struct KnownClient:
    fs_ip ip
    uint16_t port
    PyObject *pair                      # strong, or NULL


cdef class ClientCache:
    cdef bint as_text                   # ports too, as an environ has them
    cdef KnownClient entries[CLIENT_SLOTS]
    cdef tuple find(self, const fs_forwarded *said)
