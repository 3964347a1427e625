cdef class WSGI(WSGIApplication):
    cdef WSGIExchange spare             # exchanges that left no trace, a chain of them
    cdef unsigned spares                # its length
    cdef WSGIExchange reuse(self)
