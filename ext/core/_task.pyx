# cython: language_level=3, binding=False, freethreading_compatible=False
"""The task that carries a request: an asyncio task whose first step can run inline.

`Task` has the constructor and the behaviour of the running interpreter's `asyncio.Task`, without being built on it,
so that `InlineRunner` can do what the interpreter's own cannot: use one task and one context for request after
request, as long as nobody has kept or changed them.

If the interpreter's own eager task (3.12 and newer) were as fast, it would be used instead; it is not. A task adds to a
coroutine that ends at once (about 100 ns alone), on CPython 3.13 with uvloop: 75 ns with `InlineRunner.run`, 450 ns
with `asyncio.Task(eager_start=True)`, 1000 ns with `loop.create_task`.
"""

import asyncio
import reprlib
import sys
from asyncio import base_futures, base_tasks, coroutines, events, format_helpers
from asyncio import tasks as asyncio_tasks
from types import GenericAlias

cimport cython
from cpython.contextvars cimport PyContext_Copy, PyContext_CopyCurrent, PyContext_Enter, PyContext_Exit, PyContext_New
from cpython.object cimport PyObject, PyObject_Length
from cpython.ref cimport Py_DECREF


cdef extern from "raised.h":
    # The raised exception, normalised, with its traceback; clears the error indicator.
    object fs_raised()


cdef extern from *:
    """
    /* coro.throw(exception), answering as PyIter_Send does. */
    static PySendResult fs_throw(PyObject *coro, PyObject *name, PyObject *exception, PyObject **result) {
        PyObject *stop;
        *result = PyObject_CallMethodOneArg(coro, name, exception);
        if (*result) return PYGEN_NEXT;
        if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
        stop = fs_raised();
        *result = PyObject_GetAttrString(stop, "value");
        Py_DECREF(stop);
        return *result ? PYGEN_RETURN : PYGEN_ERROR;
    }

    #ifdef Py_GIL_DISABLED
    #define FS_SOLE_OWNER(o) 0
    #else
    #define FS_SOLE_OWNER(o) (Py_REFCNT(o) == 1)
    #endif

    #define FS_FIELD_AT(o, offset) (*(PyObject **)((char *)(o) + Py_TYPE(o)->offset))
    #define FS_WEAK_REFERENCES(o) FS_FIELD_AT(o, tp_weaklistoffset)

    static inline int fs_dict_unused(PyObject *dict) {
        return !dict || (FS_SOLE_OWNER(dict) && PyDict_GET_SIZE(dict) == 0);
    }
    #define FS_DICT_UNUSED(o) fs_dict_unused(FS_FIELD_AT(o, tp_dictoffset))
    """
    int fs_throw(PyObject *coro, PyObject *name, PyObject *exception, PyObject **result) noexcept
    # True if only the caller holds the object. Never true where reference counts are not exact.
    bint FS_SOLE_OWNER(PyObject *)
    # The head of the object's list of weak references, borrowed.
    PyObject *FS_WEAK_REFERENCES(PyObject *)
    # True if the object's __dict__ is empty and nobody holds it.
    bint FS_DICT_UNUSED(PyObject *)

cdef extern from "Python.h":
    enum: PYGEN_RETURN
    enum: PYGEN_ERROR
    enum: PYGEN_NEXT
    enum: METH_O
    enum: METH_VARARGS
    ctypedef PyObject *(*PyCFunction)(PyObject *, PyObject *)
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    int PyIter_Send(PyObject *, PyObject *, PyObject **) noexcept
    PyObject *PyObject_CallMethodNoArgs(PyObject *, PyObject *) noexcept
    void Py_XDECREF(PyObject *)
    object PyCFunction_New(PyMethodDef *, object)
    bint PyCoro_CheckExact(object)
    bint PyGen_CheckExact(object)


cdef object CancelledError = asyncio.CancelledError
cdef object InvalidStateError = asyncio.InvalidStateError
cdef type AsyncioTask = asyncio.Task
cdef type AsyncioFuture = asyncio.Future
cdef object throw_name = "throw"
cdef object result_name = "result"

# gh-117407: uncancel() down to zero also takes back a cancellation that has not been delivered.
cdef bint UNCANCEL_TAKES_BACK = sys.version_info >= (3, 13)

# asyncio's functions for tasks that are not its own. Writing the dict behind them would save 5 of 75 ns a request,
# which is not worth a second way; only 3.11 has no function that exchanges the current task.
cdef object register_task = asyncio_tasks._register_task
cdef object enter_task = asyncio_tasks._enter_task
cdef object leave_task = asyncio_tasks._leave_task
cdef object swap_task = getattr(asyncio_tasks, "_swap_current_task", None)
cdef dict current_tasks = asyncio_tasks._current_tasks if swap_task is None else None
cdef object register_eager_task = getattr(asyncio_tasks, "_register_eager_task", None)
cdef object unregister_eager_task = getattr(asyncio_tasks, "_unregister_eager_task", None)

cdef unsigned long long task_count = 0


cdef inline object swap_current(object loop, object task):
    """Makes `task` (None: no task) the loop's current one. Returns the previous one, or None."""
    if swap_task is not None:
        return swap_task(loop, task)
    previous = current_tasks.get(loop)
    if task is not None:
        current_tasks[loop] = task
    elif previous is not None:
        del current_tasks[loop]
    return previous


cdef object step_callback(object self, object args):
    (<Task>self)._step(args[0] if args else None)
    return None


cdef object wakeup_callback(object self, object future):
    cdef Task task = <Task>self
    cdef object exception = None
    cdef PyObject *value
    value = PyObject_CallMethodNoArgs(<PyObject *>future, <PyObject *>result_name)
    if value is NULL:
        exception = fs_raised()
    else:
        Py_DECREF(<object>value)
    task._step(exception)
    return None


# Static, as PyCFunction_New asks. Not methods of the type: a subclass must not replace them.
cdef PyMethodDef step_method
step_method.ml_name = b"task_step"
step_method.ml_meth = <PyCFunction>step_callback
step_method.ml_flags = METH_VARARGS
step_method.ml_doc = NULL
cdef PyMethodDef wakeup_method
wakeup_method.ml_name = b"task_wakeup"
wakeup_method.ml_meth = <PyCFunction>wakeup_callback
wakeup_method.ml_flags = METH_O
wakeup_method.ml_doc = NULL


cdef object loop_of(object future):
    get_loop = getattr(future, "get_loop", None)
    return future._loop if get_loop is None else get_loop()


cdef class Task:
    """A task, with the constructor of `asyncio.Task`.

    It is not a subclass of asyncio.Task, whose layout is private to the interpreter, but
    `__class__` says asyncio.Task, so that `isinstance(task, asyncio.Task)` and `asyncio.isfuture`
    hold: every public method is there and passes the interpreter's own tests, and that is what
    a library wants to know which asks. `type(task)` tells the difference.

    coro: the coroutine to run.
    loop: the event loop; None: the running one.
    name: the name; None: 'Task-N'.
    context: the contextvars.Context to run in; None: a copy of the current one.
    eager_start: whether to run the first step now, if the loop is running.
    Raises TypeError if `coro` is not a coroutine.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __cinit__(self):
        self._log_destroy_pending = True

    def __init__(self, coro, *, loop=None, name=None, context=None, eager_start=False):
        global task_count
        self._reset(loop)
        if not PyCoro_CheckExact(coro) and not coroutines.iscoroutine(coro):
            self._log_destroy_pending = False    # nothing was started: nothing to report
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        task_count += 1
        self.number = task_count
        self.name = name if name is None or type(name) is str else str(name)
        self._context = PyContext_CopyCurrent() if context is None else context
        self._coro = coro
        if eager_start and self._loop.is_running():
            self._start_eagerly()
        else:
            self._call_step_soon(None)
            register_task(self)

    cdef int _reset(self, object loop) except -1:
        self._loop = events.get_event_loop() if loop is None else loop
        self._result = self._exception = self.traceback = None
        self.cancelled_error = self._cancel_message = self._fut_waiter = None
        self._callbacks = None
        self._num_cancels_requested = 0
        self.state = PENDING
        self._must_cancel = self._asyncio_future_blocking = self.log_traceback = False
        self._log_destroy_pending = True
        self._source_traceback = format_helpers.extract_stack() if self._loop.get_debug() else None
        return 0

    def __del__(self):
        if self._loop is None:
            return
        if self.state == PENDING and self._log_destroy_pending:
            self._report("Task was destroyed but it is pending!", {"task": self})
        if self.log_traceback:
            self._report(f"{type(self).__name__} exception was never retrieved",
                         {"exception": self._exception, "future": self})

    cdef int _report(self, str message, dict context) except -1:
        context["message"] = message
        if self._source_traceback is not None:
            context["source_traceback"] = self._source_traceback
        self._loop.call_exception_handler(context)
        return 0

    def __repr__(self):
        return task_repr(self)

    # ---- what asyncio's own functions and libraries look at ----

    @property
    def __class__(self):
        return AsyncioTask

    @property
    def _state(self):
        return ("PENDING", "CANCELLED", "FINISHED")[<int>self.state]

    @property
    def _asyncio_awaited_by(self):
        return None     # the interpreter tells it only to its own futures

    @property
    def _log_traceback(self):
        return self.log_traceback

    @_log_traceback.setter
    def _log_traceback(self, value):
        if value:
            raise ValueError("_log_traceback can only be set to False")
        self.log_traceback = False

    def _make_cancelled_error(self):
        return self._cancelled_exception()

    # ---- the future ----

    def get_loop(self):
        if self._loop is None:
            raise RuntimeError("Task object is not initialized.")
        return self._loop

    def done(self):
        return self.state != PENDING

    def cancelled(self):
        return self.state == CANCELLED

    def result(self):
        if self.state == CANCELLED:
            raise self._cancelled_exception()
        if self.state == PENDING:
            raise InvalidStateError("Result is not set.")
        self.log_traceback = False
        if self._exception is not None:
            raise self._exception.with_traceback(self.traceback)
        return self._result

    def exception(self):
        if self.state == CANCELLED:
            raise self._cancelled_exception()
        if self.state == PENDING:
            raise InvalidStateError("Exception is not set.")
        self.log_traceback = False
        return self._exception

    def set_result(self, result, /):
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, exception, /):
        raise RuntimeError("Task does not support set_exception operation")

    def add_done_callback(self, function, /, *, context=None):
        if context is None:
            context = PyContext_CopyCurrent()
        if self.state != PENDING:
            self._call_soon(function, context)
        elif self._callbacks is None:
            self._callbacks = [(function, context)]
        else:
            self._callbacks.append((function, context))

    def remove_done_callback(self, function, /):
        if self._callbacks is None:
            return 0
        # Comparing runs foreign code, which may end the task or change its list.
        before = list(self._callbacks)
        matching = {id(entry) for entry in before if entry[0] == function}
        if self._callbacks is not None:
            self._callbacks = [entry for entry in self._callbacks if id(entry) not in matching] or None
        return len(matching)

    def __await__(self):
        return Awaiter(self)

    def __iter__(self):
        return Awaiter(self)

    # ---- the task ----

    def get_name(self):
        if self.name is None:
            self.name = f"Task-{self.number}"
        return self.name

    def set_name(self, value, /):
        self.name = str(value)

    def get_coro(self):
        return self._coro

    def get_context(self):
        return self._context

    def get_stack(self, *, limit=None):
        return base_tasks._task_get_stack(self, limit)

    def print_stack(self, *, limit=None, file=None):
        return base_tasks._task_print_stack(self, limit, file)

    def cancel(self, msg=None):
        self.log_traceback = False
        if self.state != PENDING:
            return False
        self._num_cancels_requested += 1
        if self._fut_waiter is not None and self._fut_waiter.cancel(msg=msg):
            return True
        self._must_cancel = True
        self._cancel_message = msg
        return True

    def cancelling(self):
        return self._num_cancels_requested

    def uncancel(self):
        if self._num_cancels_requested > 0:
            self._num_cancels_requested -= 1
            if self._num_cancels_requested == 0 and UNCANCEL_TAKES_BACK:
                self._must_cancel = False
        return self._num_cancels_requested

    # ---- for fastserve._core ----

    cdef void watch(self, object owner, finished_t function) noexcept:
        self.owner = owner
        self.on_finished = function

    cdef object outcome(self):
        if self.state == CANCELLED:
            return self._cancelled_exception() if self.cancelled_error is None else self.cancelled_error
        return self._exception

    # ---- stepping the coroutine ----

    cdef int _start_eagerly(self) except -1:
        previous = swap_current(self._loop, self)
        try:
            if register_eager_task is None:
                register_task(self)
            else:
                register_eager_task(self)
            PyContext_Enter(self._context)
            try:
                self._advance(None)
            finally:
                PyContext_Exit(self._context)
                if unregister_eager_task is not None:
                    unregister_eager_task(self)
        finally:
            swap_current(self._loop, previous)
        if self.state != PENDING:
            self._coro = None
        elif register_eager_task is not None:
            register_task(self)
        return 0

    cdef int _step(self, object exception) except -1:
        if self.state != PENDING:
            raise InvalidStateError(f"step(): already done: {self!r}, {exception!r}")
        if self._coro is None:
            raise RuntimeError("uninitialized Task object")
        enter_task(self._loop, self)
        try:
            self._advance(exception)
        finally:
            leave_task(self._loop, self)
        return 0

    cdef int _advance(self, object exception) except -1:
        cdef PyObject *value = NULL
        cdef int status
        cdef object coro = self._coro
        if self._must_cancel:
            if not isinstance(exception, CancelledError):
                exception = self._cancelled_exception()
            self._must_cancel = False
        self._fut_waiter = None
        if exception is None:
            status = PyIter_Send(<PyObject *>coro, <PyObject *>None, &value)
        else:
            status = fs_throw(<PyObject *>coro, <PyObject *>throw_name, <PyObject *>exception, &value)
        return self._settle(status, value)

    cdef int _settle(self, int status, PyObject *value) except -1:
        """Acts on what the coroutine did. Takes the reference of `value`."""
        cdef object result
        if status == PYGEN_ERROR:
            return self._settle_failure(fs_raised())
        result = <object>value
        Py_DECREF(result)
        if status == PYGEN_NEXT:
            return self._wait_for(result)
        if self._must_cancel:
            # Cancelled while its last step ran: there is no await left to raise it in.
            self._must_cancel = False
            return self._mark_cancelled()
        self._result = result
        self.state = FINISHED
        return self._finish()

    cdef int _settle_failure(self, object exception) except -1:
        if isinstance(exception, CancelledError):
            self.cancelled_error = exception
            return self._mark_cancelled()
        self._exception = exception
        self.traceback = exception.__traceback__
        self.state = FINISHED
        self.log_traceback = self.on_finished is NULL
        self._finish()
        if isinstance(exception, (KeyboardInterrupt, SystemExit)):
            raise exception     # these stop the loop too
        return 0

    cdef int _mark_cancelled(self) except -1:
        self.state = CANCELLED
        return self._finish()

    cdef int _finish(self) except -1:
        """Notifies the owner, then schedules the done callbacks."""
        cdef finished_t function = self.on_finished
        cdef object owner
        cdef list callbacks
        if function is not NULL:
            owner = self.owner
            self.owner = None
            self.on_finished = NULL
            function(owner, self)
        callbacks = self._callbacks
        self._callbacks = None
        if callbacks is not None:
            for callback, context in callbacks:
                self._call_soon(callback, context)
        return 0

    cdef int _wait_for(self, object future) except -1:
        """Acts on what the coroutine has yielded."""
        if future is self:
            return self._fail_later(f"Task cannot await on itself: {self!r}")
        if type(future) is AsyncioFuture or type(future) is AsyncioTask or type(future) is Task:
            return self._wait_for_future(future, future._loop)
        if future is None:
            return self._call_step_soon(None)       # a bare yield: asyncio.sleep(0)
        blocking = getattr(future, "_asyncio_future_blocking", None)
        if blocking is not None:
            return self._wait_for_future(future, loop_of(future))
        if PyGen_CheckExact(future):
            return self._fail_later(
                f"yield was used instead of yield from for generator in task {self!r} with {future!r}")
        return self._fail_later(f"Task got bad yield: {future!r}")

    cdef int _wait_for_future(self, object future, object loop) except -1:
        if loop is not self._loop:
            return self._fail_later(f"Task {self!r} got Future {future!r} attached to a different loop")
        if not future._asyncio_future_blocking:
            return self._fail_later(f"yield was used instead of yield from in task {self!r} with {future!r}")
        future._asyncio_future_blocking = False
        future.add_done_callback(PyCFunction_New(&wakeup_method, self), context=self._context)
        self._fut_waiter = future
        if self._must_cancel and future.cancel(msg=self._cancel_message):
            self._must_cancel = False
        return 0

    cdef int _fail_later(self, str text) except -1:
        return self._call_step_soon(RuntimeError(text))

    cdef int _call_step_soon(self, object exception) except -1:
        step = PyCFunction_New(&step_method, self)
        if exception is None:
            self._loop.call_soon(step, context=self._context)
        else:
            self._loop.call_soon(step, exception, context=self._context)
        return 0

    cdef int _call_soon(self, object function, object context) except -1:
        self._loop.call_soon(function, self, context=context)
        return 0

    cdef object _cancelled_exception(self):
        exception = self.cancelled_error
        if exception is not None:
            self.cancelled_error = None     # it refers to frames that may refer to the task
            return exception
        if self._cancel_message is None:
            return CancelledError()
        return CancelledError(self._cancel_message)


@reprlib.recursive_repr()
def task_repr(task):
    if task._coro is None:      # 3.11's function insists on one
        info = base_futures._future_repr_info(task)
        info.insert(1, f"name={task.get_name()!r}")
    else:
        info = base_tasks._task_repr_info(task)
    return f"<{type(task).__name__} {' '.join(info)}>"


@cython.final
cdef class Awaiter:
    """The iterator of `await task`."""

    cdef Task task      # None once it has been exhausted

    def __cinit__(self, Task task):
        self.task = task

    def __iter__(self):
        return self

    def __next__(self):
        cdef Task task = self.task
        if task is None:
            raise StopIteration
        if task.state == PENDING:
            if task._asyncio_future_blocking:
                raise RuntimeError("await wasn't used with future")
            task._asyncio_future_blocking = True
            return task
        self.task = None
        raise StopIteration(task.result())

    def send(self, value, /):
        return self.__next__()

    def throw(self, kind, value=None, traceback=None, /):
        self.task = None
        if isinstance(kind, type):
            exception = value if isinstance(value, BaseException) else kind() if value is None else kind(value)
        else:
            exception = kind
        raise exception if traceback is None else exception.with_traceback(traceback)

    def close(self):
        self.task = None


cdef void call_owner(object owner, Task task) noexcept:
    try:
        owner(task)
    except BaseException as error:
        # No "task" here: the loop would call the handler in the task's context, which this step is already in.
        task._loop.call_exception_handler({"message": f"the owner of {task!r} failed", "exception": error})


include "inline_runner.pxi"
