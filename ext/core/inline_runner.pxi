# Running coroutines inline, one after the other, under one task. Part of _task.pyx.

@cython.final
cdef class InlineRunner:
    """Runs coroutines inline, each under a task and in a context of its own.

    One for each loop, used in its thread only. The task of a coroutine that ended within its
    first step is used again for the next one if nobody can tell: nobody holds a reference of
    any kind to it, and nothing was set, attached or requested on it. The same holds for its
    context. Otherwise the task is left to whoever holds it, as an ordinary finished task.

    loop: the event loop.
    context: the context of which each coroutine gets a copy, and which must not change any more; None: an empty one.
    """

    def __init__(self, loop, context=None):
        self.loop = loop
        self.base = PyContext_New() if context is None else context
        self.debug = loop.get_debug()

    cpdef Task run(self, object coro):
        global task_count
        cdef PyObject *value = NULL
        cdef object failure = None
        cdef int status
        cdef Task task = self.resting
        if task is None:
            task = self._new_task()
        previous = swap_current(self.loop, task)
        self.resting = None     # a run() within this one needs a task of its own
        self.failure = None
        task_count += 1
        task.number = task_count
        task._coro = coro
        task.state = PENDING
        PyContext_Enter(task._context)
        status = PyIter_Send(<PyObject *>coro, <PyObject *>None, &value)
        if status == PYGEN_NEXT:
            self._suspend(task, value, previous)
            return task
        if status == PYGEN_ERROR:
            failure = fs_raised()
        swap_current(self.loop, previous)
        PyContext_Exit(task._context)
        if is_untouched(task, self.registration) and not isinstance(failure, (KeyboardInterrupt, SystemExit)):
            Py_XDECREF(value)
            self.failure = failure
            self._rest(task)
        else:
            self.failure = self._let_go(task, value, failure)
        return None

    def watch(self, Task task, function):
        """Makes `function(task)` be called when `task` ends, before its done callbacks are scheduled."""
        task.watch(function, call_owner)

    cpdef object take_failure(self):
        failure = self.failure
        self.failure = None
        return failure

    cdef Task _new_task(self):
        cdef Task task = Task.__new__(Task)
        task._loop = self.loop
        task._context = PyContext_Copy(self.base)
        if self.debug:
            task._source_traceback = format_helpers.extract_stack()
        task.state = FINISHED       # until it runs: all_tasks() must not show it
        register_task(task)
        # Kept alive by asyncio's WeakSet; a newer weak reference comes before it in the list.
        self.registration = FS_WEAK_REFERENCES(<PyObject *>task)
        return task

    cdef int _rest(self, Task task) except -1:
        """Keeps a task that nobody has touched for the next run."""
        task._coro = None
        task.state = FINISHED
        # Only an empty context can be told from a changed one; and a copy never has fewer variables than its base.
        if not (FS_SOLE_OWNER(<PyObject *>task._context) and PyObject_Length(task._context) == 0):
            task._context = PyContext_Copy(self.base)
        if not self.debug:
            self.resting = task
        return 0

    cdef int _suspend(self, Task task, PyObject *value, object previous) except -1:
        """Makes an ordinary task of it. Takes the reference of `value`."""
        try:
            task._settle(PYGEN_NEXT, value)
        finally:
            swap_current(self.loop, previous)
            PyContext_Exit(task._context)
        return 0

    cdef object _let_go(self, Task task, PyObject *value, object failure):
        """Finishes a task that somebody holds or has changed. Takes the reference of `value`. Returns its exception."""
        try:
            if failure is None:
                task._settle(PYGEN_RETURN, value)
            else:
                task._settle_failure(failure)
        finally:
            task._coro = None
            task.log_traceback = False      # whoever takes the failure reports it
        return task.outcome()


cdef inline bint is_untouched(Task task, PyObject *registration) noexcept:
    """True if the finished task cannot be told from a new one.

    The caller's reference must be the only one.
    """
    return (FS_SOLE_OWNER(<PyObject *>task)
            and FS_WEAK_REFERENCES(<PyObject *>task) is registration
            and task._callbacks is None
            and task.name is None
            and not task._must_cancel           # any cancel() within the first step sets it
            and not task._asyncio_future_blocking
            and task._log_destroy_pending
            and task._cancel_message is None
            and FS_DICT_UNUSED(<PyObject *>task))
