cdef class WSGI(WSGIApplication):
    cdef WSGIExchange spare             # a chain of exchanges that nobody kept
    cdef unsigned spares                # its length
    cdef WSGIExchange reuse(self)
