"""The interface of the inline task to `fastserve._core`; the reasons are in _task.pyx."""

from cpython.object cimport PyObject


cdef enum State:
    PENDING
    CANCELLED
    FINISHED


# Called once, inside the task's last step, when its outcome is set and before its done
# callbacks are scheduled. It must not raise; the caller holds `owner` and `task` for the call.
ctypedef void (*finished_t)(object owner, Task task) noexcept


# Fields with a leading underscore have asyncio's names and are visible to Python too.
cdef class Task:
    cdef object __weakref__
    cdef dict __dict__                          # libraries hang their own attributes on tasks
    cdef readonly object _loop                  # None only before __init__
    cdef readonly object _coro                  # None once an eager or inline step has ended it
    cdef readonly object _context               # the contextvars.Context of every step
    cdef readonly object _result                # of a FINISHED task without `_exception`
    cdef readonly object _exception
    cdef readonly object _fut_waiter            # the future that it waits for, or None
    cdef readonly object _source_traceback      # debug mode only, else None
    cdef readonly list _callbacks               # of (function, context), or None
    cdef readonly long _num_cancels_requested
    cdef readonly bint _must_cancel             # the next step raises CancelledError
    cdef public object _cancel_message
    cdef public bint _asyncio_future_blocking   # set by __await__, cleared by the task that waits
    cdef public bint _log_destroy_pending
    cdef bint log_traceback                     # `_exception` has not been retrieved: __del__ reports it
    cdef object traceback                       # that of `_exception` at the end: result() raises with it each time
    cdef object cancelled_error                 # the CancelledError that ended it, returned once
    cdef object name                            # None until asked for: made of `number`
    cdef unsigned long long number              # the N of 'Task-N'
    cdef State state                            # FINISHED also while it rests in an InlineRunner
    cdef object owner                           # notified by `on_finished`, then dropped
    cdef finished_t on_finished                 # NULL: nobody to notify

    # Notifies `owner` by `function` when the task ends; its failure then counts as retrieved.
    # Only for a task that is not done; a second call replaces the first.
    cdef void watch(self, object owner, finished_t function) noexcept
    # Returns the exception that ended it (CancelledError if it was cancelled); None for a
    # plain return and while it is pending. Does not mark anything as retrieved.
    cdef object outcome(self)

    cdef int _reset(self, object loop) except -1
    cdef int _report(self, str message, dict context) except -1
    cdef int _step(self, object exception) except -1
    cdef int _advance(self, object exception) except -1
    cdef int _settle(self, int status, PyObject *value) except -1
    cdef int _settle_failure(self, object exception) except -1
    cdef int _wait_for(self, object future) except -1
    cdef int _wait_for_future(self, object future, object loop) except -1
    cdef int _fail_later(self, str text) except -1
    cdef int _finish(self) except -1
    cdef int _mark_cancelled(self) except -1
    cdef int _start_eagerly(self) except -1
    cdef int _call_step_soon(self, object exception) except -1
    cdef int _call_soon(self, object function, object context) except -1
    cdef object _cancelled_exception(self)


cdef class InlineRunner:
    cdef readonly object loop
    cdef readonly object base       # the Context that each request's is a copy of
    cdef object failure             # that of the last run() that ended at once; see take_failure()
    cdef Task resting               # used again by the next run(), None while it is out
    cdef PyObject *registration     # head of the resting task's list of weak references; compared, never followed
    cdef bint debug                 # loop.get_debug() at construction: each run() gets a new task

    # Starts `coro` at once under a task that is current_task() while it runs. Returns the
    # task if the coroutine suspended, and None if it has ended; take_failure() then says
    # how. Raises only KeyboardInterrupt, SystemExit and our own failures (MemoryError).
    # May be called while another task runs.
    cpdef Task run(self, object coro)
    # Returns the exception that ended the last run() (CancelledError included), or None, and forgets it.
    cpdef object take_failure(self)

    cdef Task _new_task(self)
    cdef int _rest(self, Task task) except -1
    cdef int _suspend(self, Task task, PyObject *value, object previous) except -1
    cdef object _let_go(self, Task task, PyObject *value, object failure)
