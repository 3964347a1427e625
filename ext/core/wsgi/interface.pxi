# WSGI as a driver knows it: gives each request its exchange, and ends them all.

cdef enum:
    SPARES_MAX = 64             # exchanges that are kept for further requests


@cython.final
cdef class WSGI(WSGIApplication):
    """Calls a WSGI application in threads."""

    cdef Exchange open(self, const fs_request_head *head):
        return WSGIExchange.__new__(WSGIExchange, self) if self.spare is None else self.reuse()

    cdef WSGIExchange reuse(self):
        cdef WSGIExchange exchange = self.spare
        self.spare = <WSGIExchange>exchange.next
        self.spares -= 1
        exchange.next = None
        if FS_DEBUG:
            live_objects["exchanges"] += 1
        return exchange

    cdef raises recycle(self, Exchange given) except -1:
        """Keeps an exchange for another request, if the application kept none of its objects."""
        cdef WSGIExchange exchange = <WSGIExchange>given
        if (self.spares < SPARES_MAX
                and fs_request_is_over(<PyObject *>exchange, <PyObject *>exchange.start_response,
                                       <PyObject *>exchange.write, 6)
                and not fs_is_kept(<PyObject *>exchange.early_hints, exchange.early_hints.held)
                and not fs_is_kept(<PyObject *>exchange.client_disconnected, exchange.client_disconnected.held)):
            exchange.clear()
            exchange.next = self.spare
            self.spare = exchange
            self.spares += 1
            if FS_DEBUG:
                live_objects["exchanges"] -= 1      # the ledger counts exchanges that serve somebody
        else:
            exchange.discard()

    cdef raises drop_spares(self) except -1:
        while self.spare is not None:
            self.reuse().discard()
        self.environs.clear()

    cdef Py_ssize_t cancel(self) except -1:
        """Gives up all requests: a thread cannot be cancelled, but its answer has nowhere to go from here on."""
        cdef Driver driver = self.driver
        cdef Exchange exchange
        count = 0
        for connection in all_connections(driver):
            for exchange in (<Connection>connection).exchanges():
                if exchange.started:
                    count += 1
                    report(driver.logger, LOG_WARNING, "given up, because the server stops: %s %s",
                           (exchange.method_name(), exchange.path_name()))
                    (<WSGIExchange>exchange).overdue = (<WSGIExchange>exchange).ident != 0
                    exchange.fail(FS_E_STOPPED)
        return count
