# ASGI as a driver knows it: gives each request its exchange, and ends them all.

@cython.final
cdef class ASGI(ASGIApplication):
    """Calls an ASGI 3 application on an event loop."""

    cdef Exchange open(self, const fs_request_head *head):
        cdef HTTPExchange exchange = self.spare
        if head.flags & FS_HEAD_UPGRADE_WEBSOCKET and self.websocket:
            return WebSocketExchange.__new__(WebSocketExchange, self)
        if exchange is None:
            return HTTPExchange.__new__(HTTPExchange, self)
        self.spare = None
        return exchange

    cdef raises recycle(self, Exchange exchange) except -1:
        """Keeps an exchange for the next request, if the application kept neither `send` nor `receive`."""
        cdef PyObject *send = <PyObject *>(<ASGIExchange>exchange).send
        cdef PyObject *receive = <PyObject *>(<ASGIExchange>exchange).receive
        if self.spare is None and type(exchange) is HTTPExchange and fs_exchange_is_free(<PyObject *>exchange, send, receive, 3):
            (<HTTPExchange>exchange).clear()
            self.spare = <HTTPExchange>exchange
        else:
            (<ASGIExchange>exchange).discard()

    cdef raises drop_spares(self) except -1:
        if self.spare is not None:
            self.spare.discard()
            self.spare = None

    cdef Py_ssize_t cancel(self) except -1:
        cdef ASGIExchange exchange
        working = list(self.working)
        for exchange in working:
            exchange.cancel()
        return len(working) + refuse_queue(self.driver)

    cdef raises forget(self) except -1:
        cdef ASGIExchange exchange
        for exchange in self.working:
            exchange.row = NULL
        try:
            self.loop.call_soon(self.driver.came_back)
        except RuntimeError:
            pass        # it is closed, or in debug mode with a fork by another thread: nobody comes back to it
