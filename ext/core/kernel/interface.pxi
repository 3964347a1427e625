# How an application is called, and what drives the driver. Connection and driver know no more than this of either.

cdef class Interface:
    """The interface of one worker. It belongs to the driver to which it is attached, and knows it until that is
    closed."""

    cdef raises attach(self, Driver driver) except -1:
        """Gives the interface to a driver. Raises ValueError if it has had one before."""
        if self.driver is not None:
            raise ValueError("the interface belongs to another driver already")
        self.driver = driver

    cdef raises detach(self) except -1:
        """Called when the driver is closed: none of its methods is called any more."""
        self.driver = None

    cdef Exchange open(self, const fs_request_head *head):
        """Returns the exchange for a request: a new one, or one that nobody kept. It gets its stream and its connection
        next, and then `begin` is called with the same head, whose slices are gone when that returns."""
        raise NotImplementedError

    cdef bint takes_websockets(self) noexcept:
        """Whether `open` may return an exchange that takes a tunnel's bytes; HTTP/2 offers extended CONNECT only
        then."""
        return False

    cdef int refusal(self, const fs_request_head *head) noexcept:
        """Returns why there is no room for a request's body, an FS_E_* with which it is answered; FS_OK: there is."""
        return FS_OK if fs_budget_has(&self.driver.memory, FS_BUDGET_OBJECT) else FS_E_NO_ROOM

    cdef raises wake(self) except -1:
        """Called when a turn was scheduled. Makes Driver.sweep or its like be called soon, but not at once: the
        application may be on the stack."""
        raise NotImplementedError

    cdef raises drop_spares(self) except -1:
        """Drops what is kept for the next request."""

    cdef raises forget(self) except -1:
        """In a child that the application forked: makes whatever comes back from the application end there."""

    cdef raises beat(self) except -1:
        """Writes what has to be looked up into the status."""
        show_queue(self.driver, 0, 0)

    cdef Py_ssize_t busy(self) noexcept:
        """Returns how many calls of the application have not ended, with or without a waiting client."""
        return 0

    cdef Py_ssize_t cancel(self) except -1:
        """Called when the worker stops, and the time is over: ends what can be ended, answers for the rest, and returns
        the number of these requests."""
        return 0
