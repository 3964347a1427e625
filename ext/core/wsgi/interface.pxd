cdef class WSGI(Interface):
    cdef object application
    cdef EnvironBuilder environs
    cdef Threads threads
    cdef WSGIExchange spare             # exchanges that left no trace, a chain of them
    cdef unsigned spares                # its length
    cdef set left_out                   # names of headers that the application set and that are not sent, once said
    cdef raises leave_out(self, tuple pair, uint32_t id) except -1
    cdef raises give(self, WSGIExchange exchange) except -1
    cdef WSGIExchange take(self)
