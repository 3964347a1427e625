# What is the same for all requests of a WSGI application.
cdef class WSGIApplication(Interface):
    cdef object application
    cdef EnvironBuilder environs
    cdef Threads threads
    cdef set left_out                   # logged names of headers that the application set and that are not sent
    cdef raises leave_out(self, tuple pair, uint32_t id) except -1
    cdef raises recycle(self, Exchange exchange) except -1
