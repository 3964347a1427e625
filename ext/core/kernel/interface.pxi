# How an application is called, and what drives the driver. The connection and the driver know no more of either.

cdef class Interface:
    """Of one worker. It belongs to the driver that it was given to, and knows it until that is closed."""

    cdef raises attach(self, Driver driver) except -1:
        if self.driver is not None:
            raise ValueError("the interface belongs to another driver already")
        self.driver = driver

    cdef raises detach(self) except -1:
        self.driver = None

    cdef Exchange open(self, const fs_request_head *head):
        raise NotImplementedError

    cdef bint takes_websockets(self) noexcept:
        return False

    cdef int refusal(self, const fs_request_head *head) noexcept:
        return FS_OK if fs_budget_has(&self.driver.memory, FS_BUDGET_OBJECT) else FS_E_NO_ROOM

    cdef raises wake(self) except -1:
        raise NotImplementedError

    cdef raises clear(self) except -1:
        """Drops what is kept for the next request."""

    cdef raises forget(self) except -1:
        """In a child that the application forked: whatever comes back from the application ends there."""

    cdef raises beat(self) except -1:
        """Shows in the status what takes a look to know."""
        show_queue(self.driver, 0, 0)

    cdef Py_ssize_t busy(self) noexcept:
        return 0

    cdef Py_ssize_t cancel(self) except -1:
        return 0
