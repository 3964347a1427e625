cdef class ASGI(ASGIApplication):
    cdef HTTPExchange spare             # an exchange with its send and receive that left no trace: used again
