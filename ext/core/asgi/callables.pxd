# The two callables of an ASGI application. Called by vectorcall: no argument tuple is made.
cdef class Send:
    cdef void *vectorcall               # first field: its offset is the type's tp_vectorcall_offset
    cdef ASGIExchange exchange


cdef class Receive:
    cdef void *vectorcall
    cdef ASGIExchange exchange
