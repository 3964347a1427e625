# How an application is called, and what drives the driver. The connection and the driver know no more of either.

cdef class Interface:
    """Of one worker. It belongs to the driver that it was given to, and knows it until that is closed."""

    cdef raises attach(self, Driver driver) except -1:
        """From here on it belongs to this driver. Raises ValueError where it had one before."""
        if self.driver is not None:
            raise ValueError("the interface belongs to another driver already")
        self.driver = driver

    cdef raises detach(self) except -1:
        """The driver is closed: nothing of it is called any more."""
        self.driver = None

    cdef Exchange open(self, const fs_request_head *head):
        """The exchange for a request: a new one, or one that left no trace. It has neither stream nor connection yet: these
        are given to it next, and then `begin` is called with the same head, whose slices are gone when that returns."""
        raise NotImplementedError

    cdef bint takes_websockets(self) noexcept:
        """Whether `open` may give an exchange that takes bytes of a tunnel; HTTP/2 offers extended CONNECT only then."""
        return False

    cdef int refusal(self, const fs_request_head *head) noexcept:
        """Why there is no room for the body of a request, an FS_E_* with which it is answered; FS_OK: there is."""
        return FS_OK if fs_budget_has(&self.driver.memory, FS_BUDGET_OBJECT) else FS_E_NO_ROOM

    cdef raises wake(self) except -1:
        """Has Driver.sweep, or its like, called soon, from outside of what runs now: a turn was scheduled. At once is too soon, for
        the application may be on the stack."""
        raise NotImplementedError

    cdef raises drop_spares(self) except -1:
        """Drops what is kept for the next request."""

    cdef raises forget(self) except -1:
        """In a child that the application forked: whatever comes back from the application ends there."""

    cdef raises beat(self) except -1:
        """Shows in the status what takes a look to know."""
        show_queue(self.driver, 0, 0)

    cdef Py_ssize_t busy(self) noexcept:
        """Calls of the application that have not ended, with or without a client that waits for them."""
        return 0

    cdef Py_ssize_t cancel(self) except -1:
        """The worker stops, and the time is over: ends what can be ended, answers for the rest, and gives the number of these requests."""
        return 0
