# `send` and `receive` as an application has them, and the awaitables that they return.

cdef extern from "Python.h":
    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject **, size_t, PyObject *)
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)


@cython.final
cdef class Send:

    def __cinit__(self, ASGIExchange exchange not None):
        self.vectorcall = <void *>send_vectorcall
        self.exchange = exchange

    def __call__(self, event):
        return fs_call_or(send_event, failed_send, self, <PyObject *>event)

    def __repr__(self):
        return "<fastserve send>"


@cython.final
cdef class Receive:

    def __cinit__(self, ASGIExchange exchange not None):
        self.vectorcall = <void *>receive_vectorcall
        self.exchange = exchange

    def __call__(self):
        return receive_vectorcall(self, NULL, 0, NULL)

    def __repr__(self):
        return "<fastserve receive>"


cdef object send_event(object self, PyObject *event):
    """Queues an event when `send` is called, so that the order is that of the calls."""
    return (<Send>self).exchange.handle_send(<object>event)


cdef object failed_send(object self):
    """Returns an awaitable for an event that could not be sent: like any coroutine, it raises where it is awaited."""
    cdef Failed awaitable
    failure = fs_raised()
    if not isinstance(failure, Exception):
        raise failure
    awaitable = Failed.__new__(Failed)
    awaitable.exchange = (<Send>self).exchange
    awaitable.failure = failure
    return awaitable


cdef object send_call(Send send, PyObject **arguments, Py_ssize_t n, PyObject *names):
    if names != NULL and PyTuple_GET_SIZE(<object>names) == 1 and n == 0:
        if (<tuple>names)[0] not in ("event", "message"):
            raise TypeError(f"send() got an unexpected keyword argument {(<tuple>names)[0]!r}")
    elif n != 1 or names != NULL and PyTuple_GET_SIZE(<object>names):
        raise TypeError("send() takes one event")
    return fs_call_or(send_event, failed_send, send, arguments[0])


cdef object send_vectorcall(object self, PyObject **arguments, size_t nargs, PyObject *names):
    cdef Py_ssize_t n = PyVectorcall_NARGS(nargs)
    if n == 1 and names == NULL:
        return fs_call_or(send_event, failed_send, self, arguments[0])
    return send_call(<Send>self, arguments, n, names)


cdef object receive_vectorcall(object self, PyObject **arguments, size_t nargs, PyObject *names):
    cdef Received waiting
    if PyVectorcall_NARGS(nargs) or names != NULL and PyTuple_GET_SIZE(<object>names):
        raise TypeError("receive() takes no arguments")
    waiting = Received.__new__(Received)
    waiting.exchange = (<Receive>self).exchange
    return waiting


cdef raises give_callables(ASGIExchange exchange) except -1:
    exchange.send = Send.__new__(Send, exchange)
    exchange.receive = Receive.__new__(Receive, exchange)
    return 0


cdef object after_write(ASGIExchange exchange):
    """Returns the awaitable of a `send` that has queued something; it waits if the queue is too long."""
    cdef Connection connection = exchange.connection
    cdef WriteRoom waiting
    connection.written()
    if not connection.must_wait(exchange) or exchange.connection is None:
        return DONE
    waiting = WriteRoom.__new__(WriteRoom)
    waiting.exchange = exchange
    return waiting


@cython.final
cdef class Failed:
    """One `send()` that raises when it is awaited, and not when it is called: an application may hand what `send`
    returns to create_task or gather, or await it later."""

    cdef ASGIExchange exchange
    cdef object failure         # None once it was raised or nobody wants it any more

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        failure, self.failure = self.failure, None
        if failure is None:
            raise RuntimeError("cannot await a send() again")
        raise failure

    def throw(self, *args):
        self.close()
        raise_thrown(args)

    def close(self):
        self.failure = None

    def __del__(self):
        if self.failure is not None:
            failure, self.failure = self.failure, None
            report(self.exchange.driver.logger, LOG_ERROR, "a failed send() was never awaited: %s %s",
                   (self.exchange.method_name(), self.exchange.path_name()), failure)


@cython.final
cdef class Received:
    """One `receive()`. It takes the event when it is awaited and not when it is called, so that a call that was
    cancelled before it began loses nothing."""

    cdef ASGIExchange exchange
    cdef Wakeup waiting         # None while it does not wait

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
        if self.waiting is not None:
            self.exchange.drop_receiver(self.waiting)
            self.waiting = None


cdef int received_step(PyObject *raw, PyObject **result) except -1:
    cdef Received self = <Received>raw
    cdef ASGIExchange exchange = self.exchange
    cdef Wakeup waiting = self.waiting
    cdef dict event
    if exchange is None:
        raise TypeError("receive() makes these")
    if waiting is not None:
        if not waiting.is_done:
            raise RuntimeError("await wasn't used with a future")
        self.waiting = None
        waiting.result()
    event = exchange.next_event()
    if event is not None:
        Py_INCREF(event)
        result[0] = <PyObject *>event
        return PYGEN_RETURN
    waiting = Wakeup.__new__(Wakeup)
    waiting.loop = exchange.interface.loop
    waiting.blocking = True
    exchange.add_receiver(waiting)
    self.waiting = waiting
    Py_INCREF(waiting)
    result[0] = <PyObject *>waiting
    return PYGEN_NEXT


@cython.final
cdef class WriteRoom:
    """One `send()` that waits until the out-queue has room again."""

    cdef ASGIExchange exchange
    cdef object future
    cdef object iterator

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return run_step(self, write_room_step)

    def send(self, value):
        return run_step(self, write_room_step)

    def throw(self, *args):
        self.close()
        raise_thrown(args)

    def close(self):
        if self.future is not None:
            self.exchange.drop_sender(self.future)
            self.future = self.iterator = None


cdef int write_room_step(PyObject *raw, PyObject **result) except -1:
    cdef WriteRoom self = <WriteRoom>raw
    cdef ASGIExchange exchange = self.exchange
    cdef int kind
    if exchange is None:
        raise TypeError("send() makes these")
    if self.iterator is not None:
        kind = PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)
        if kind == PYGEN_NEXT:
            return PYGEN_NEXT
        Py_DECREF(<object>result[0])
        result[0] = NULL            # what follows may raise
        self.future = self.iterator = None
    if exchange.lost or exchange.cut:
        raise exchange.disconnected()
    if exchange.connection is None or not exchange.connection.must_wait(exchange):
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_RETURN
    self.future = exchange.interface.loop.create_future()
    exchange.add_sender(self.future)
    self.iterator = self.future.__await__()
    # Making the objects may have run the application's code (garbage collection): is there still something to wait for?
    if exchange.lost or exchange.connection is None or not exchange.connection.must_wait(exchange):
        self.close()
        if exchange.lost or exchange.cut:
            raise exchange.disconnected()
        Py_INCREF(None)
        result[0] = <PyObject *>None
        return PYGEN_RETURN
    return PyIter_Send(<PyObject *>self.iterator, <PyObject *>None, result)


cdef raises enable_calls() except -1:
    # Offsets are read off an instance: Cython's object structs have no name here.
    cdef ASGIExchange exchange = ASGIExchange.__new__(ASGIExchange, None)
    cdef Send send = Send.__new__(Send, exchange)
    cdef Receive receive = Receive.__new__(Receive, exchange)
    fs_enable_vectorcall(Send, <char *>&send.vectorcall - <char *><PyObject *>send)
    fs_enable_vectorcall(Receive, <char *>&receive.vectorcall - <char *><PyObject *>receive)
    return 0


enable_calls()
fs_enable_received(Received, received_step)
fs_enable_write_room(WriteRoom, write_room_step)
