# What `send` and `receive` return. Each is an awaitable that is already done where there is nothing to wait for, and
# is a coroutine to collections.abc (send, throw, close), because applications hand `receive()` to create_task.
# The steps stand here, the slots that call them in slots.h.

cdef extern from "slots.h":
    ctypedef int (*fs_step)(PyObject *self, PyObject **result) except -1
    void fs_enable_vectorcall(type t, Py_ssize_t offset)
    void fs_enable_done(type t, fs_step step)
    void fs_enable_received(type t, fs_step step)
    void fs_enable_drained(type t, fs_step step)
    void fs_owner_retain(void *owner) noexcept nogil
    void fs_owner_release(void *owner) noexcept nogil


cdef extern from "Python.h":
    enum:
        PYGEN_RETURN
        PYGEN_NEXT
    int PyIter_Send(PyObject *iterator, PyObject *value, PyObject **result) except -1


cdef object run_step(object self, fs_step step):
    """send(None) of an awaitable, for callers without slots."""
    cdef PyObject *result = NULL
    cdef int kind = step(<PyObject *>self, &result)
    value = <object>result
    Py_DECREF(value)
    if kind == PYGEN_RETURN:
        raise StopIteration(value)
    return value


cdef object raise_thrown(args):
    kind = args[0]
    if isinstance(kind, BaseException):
        raise kind
    raise kind(*args[1:2])


@cython.final
cdef class Done:
    """Nothing to wait for. It has no state: there is one for all."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, *args):
        raise_thrown(args)

    def close(self):
        pass


cdef int done_step(PyObject *self, PyObject **result) except -1:
    Py_INCREF(None)
    result[0] = <PyObject *>None
    return PYGEN_RETURN


cdef object DONE = Done()


@cython.final
cdef class Received:
    """One `receive()`. The event is taken when it is awaited and not when it is called, so that a call that was
    cancelled before it began loses nothing."""

    cdef ASGIExchange exchange
    cdef object future          # that it waits on, with its iterator; None before
    cdef object iterator

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return run_step(self, received_step)

    def send(self, value):
        return run_step(self, received_step)

    def throw(self, *args):
        self.close()
        raise_thrown(args)

    def close(self):
        if self.future is not None:
            try:
                self.exchange.receivers.remove(self.future)
            except ValueError:
                pass    # it was woken already
            self.future = self.iterator = None


cdef int received_step(PyObject *raw, PyObject **result) except -1:
    cdef Received self = <Received>raw
    cdef ASGIExchange exchange = self.exchange
    cdef int kind
    cdef dict event
    if exchange is None:
        raise TypeError("receive() makes these")
    if self.iterator is not None:
        kind = PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)
        if kind == PYGEN_NEXT:
            return PYGEN_NEXT
        Py_DECREF(<object>result[0])
        self.future = self.iterator = None
    event = exchange.next_event()
    if event is not None:
        Py_INCREF(event)
        result[0] = <PyObject *>event
        return PYGEN_RETURN
    self.future = exchange.driver.loop.create_future()
    exchange.receivers.append(self.future)
    self.iterator = self.future.__await__()
    return PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)


@cython.final
cdef class Drained:
    """One `send()` that waits until the out-queue has room again."""

    cdef ASGIExchange exchange
    cdef object future
    cdef object iterator

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return run_step(self, drained_step)

    def send(self, value):
        return run_step(self, drained_step)

    def throw(self, *args):
        self.close()
        raise_thrown(args)

    def close(self):
        if self.future is not None:
            try:
                self.exchange.senders.remove(self.future)
            except ValueError:
                pass    # it was woken already
            self.future = self.iterator = None


cdef int drained_step(PyObject *raw, PyObject **result) except -1:
    cdef Drained self = <Drained>raw
    cdef ASGIExchange exchange = self.exchange
    cdef int kind
    if exchange is None:
        raise TypeError("send() makes these")
    if self.iterator is not None:
        kind = PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)
        if kind == PYGEN_NEXT:
            return PYGEN_NEXT
        Py_DECREF(<object>result[0])
        self.future = self.iterator = None
    if exchange.lost:
        raise ClientDisconnected("the client has disconnected")
    if exchange.connection is None or not exchange.connection.full():
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_RETURN
    self.future = exchange.driver.loop.create_future()
    exchange.senders.append(self.future)
    self.iterator = self.future.__await__()
    return PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)


fs_enable_done(Done, done_step)
fs_enable_received(Received, received_step)
fs_enable_drained(Drained, drained_step)
