# What an application awaits: nothing, or its turn. Each is an awaitable that is already done where there is nothing to
# wait for, and is a coroutine to collections.abc (send, throw, close), because applications hand `receive()` to
# create_task. The steps stand here and in callables.pxi, the slots that call them in slots.h.

cdef extern from "slots.h":
    ctypedef int (*fs_step)(PyObject *self, PyObject **result) except -1
    ctypedef object (*fs_call)(object self, PyObject *argument)
    ctypedef object (*fs_failed)(object self)
    object fs_call_or(fs_call call, fs_failed failed, object self, PyObject *argument)
    void fs_enable_vectorcall(type t, Py_ssize_t offset)
    void fs_enable_done(type t, fs_step step)
    void fs_enable_received(type t, fs_step step)
    void fs_enable_write_room(type t, fs_step step)
    void fs_owner_retain(void *owner) noexcept nogil
    void fs_owner_release(void *owner) noexcept nogil


cdef extern from "raised.h":
    object fs_raised()


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
    """Nothing to wait for. It has no state: one object serves all."""

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
cdef class Wakeup:
    """What a waiting `receive` yields to its task: future-like (asyncio's documented duck type) and no more. When a
    piece of the body arrives, the driver calls the task's wake-up itself instead of scheduling it: the application
    reads on inside the driver's turn, as its first step ran inside one."""

    cdef object loop
    cdef object callback            # of the one waiting task, as nearly always
    cdef object context
    cdef list others                # (callback, context) of further ones
    cdef bint blocking
    cdef bint is_done
    cdef bint was_cancelled
    cdef object message

    @property
    def _asyncio_future_blocking(self):
        return self.blocking

    @_asyncio_future_blocking.setter
    def _asyncio_future_blocking(self, value):
        self.blocking = value

    @property
    def _loop(self):
        return self.loop

    def get_loop(self):
        return self.loop

    def done(self):
        return self.is_done

    def cancelled(self):
        return self.was_cancelled

    def result(self):
        if self.was_cancelled:
            raise asyncio.CancelledError() if self.message is None else asyncio.CancelledError(self.message)
        if not self.is_done:
            raise asyncio.InvalidStateError("nothing has been received yet")

    def exception(self):
        self.result()

    def cancel(self, msg=None):
        if self.is_done:
            return False
        self.was_cancelled = True
        self.message = msg
        self.fire(False)
        return True

    def add_done_callback(self, callback, *, context=None):
        if context is None:
            context = contextvars.copy_context()
        if self.is_done:
            self.loop.call_soon(callback, self, context=context)
        elif self.callback is None:
            self.callback = callback
            self.context = context
        else:
            if self.others is None:
                self.others = []
            self.others.append((callback, context))

    def remove_done_callback(self, callback):
        kept = [] if self.others is None else [pair for pair in self.others if pair[0] != callback]
        removed = 0 if self.others is None else len(self.others) - len(kept)
        self.others = kept or None
        if self.callback is not None and self.callback == callback:
            self.callback = self.context = None
            removed += 1
        return removed

    cdef raises fire(self, bint here) except -1:
        """Wakes the waiting tasks. `here`: no task is on the stack, so the waiting one may go on within this call."""
        cdef object callback = self.callback, context = self.context
        if self.is_done:
            return 0
        self.is_done = True
        self.callback = self.context = None
        if self.others is not None:
            for pair in self.others:
                self.loop.call_soon(pair[0], self, context=pair[1])
            self.others = None
        if callback is None:
            return 0
        if here:
            context.run(callback, self)
        else:
            self.loop.call_soon(callback, self, context=context)
        return 0


fs_enable_done(Done, done_step)
