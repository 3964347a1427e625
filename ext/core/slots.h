#ifndef FS_CORE_SLOTS_H
#define FS_CORE_SLOTS_H

#include <Python.h>

#include <assert.h>
#include <malloc.h>

#ifndef FS_DEBUG
#define FS_DEBUG 0
#endif

/*
 * Two things that the C API documents and Cython has no syntax for: vectorcall
 * for our own callables (PEP 590), and awaitables that return their value
 * without an exception object when the interpreter calls am_send.
 */

/* `offset`: of a vectorcallfunc field in the instance, which is set before the first call. */
static inline void fs_enable_vectorcall(PyTypeObject *type, Py_ssize_t offset)
{
    type->tp_vectorcall_offset = offset;
    type->tp_call = PyVectorcall_Call;
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    PyType_Modified(type);
}

/*
 * One step of an awaitable: PYGEN_NEXT with what it yields to the loop,
 * PYGEN_RETURN with its value, PYGEN_ERROR with an exception set.
 * *result is a new reference, and NULL with PYGEN_ERROR: asyncio's C task takes
 * anything else for a value and turns the exception into a SystemError.
 */
typedef int (*fs_step)(PyObject *self, PyObject **result);

static inline int fs_run_step(PyObject *self, fs_step step, PyObject **result)
{
    int kind;

    *result = NULL;
    kind = step(self, result);
    assert((kind == PYGEN_ERROR) == !*result);
    return kind;
}

/* tp_iternext from a step. Raising StopIteration here and not in Cython spares its traceback frame. */
static inline PyObject *fs_step_next(PyObject *self, fs_step step)
{
    PyObject *result;
    int kind = fs_run_step(self, step, &result);
    if (kind == PYGEN_NEXT)
        return result;
    if (kind == PYGEN_RETURN) {
        if (result != Py_None)
            PyErr_SetObject(PyExc_StopIteration, result);
        Py_DECREF(result); /* None: NULL without an exception is StopIteration(None) */
    }
    return NULL;
}

#define FS_DEFINE_AWAITABLE(name)                                                       \
    static fs_step fs_##name##_step;                                                    \
    static PyObject *fs_##name##_next(PyObject *self)                                   \
    {                                                                                   \
        return fs_step_next(self, fs_##name##_step);                                    \
    }                                                                                   \
    static PySendResult fs_##name##_send(PyObject *self, PyObject *value, PyObject **r) \
    {                                                                                   \
        (void)value;                                                                    \
        return (PySendResult)fs_run_step(self, fs_##name##_step, r);                    \
    }                                                                                   \
    static void fs_enable_##name(PyTypeObject *type, fs_step step)                      \
    {                                                                                   \
        fs_##name##_step = step;                                                        \
        type->tp_iternext = fs_##name##_next;                                           \
        type->tp_as_async->am_send = fs_##name##_send;                                  \
        PyType_Modified(type);                                                          \
    }

FS_DEFINE_AWAITABLE(done)
FS_DEFINE_AWAITABLE(received)
FS_DEFINE_AWAITABLE(write_room)

/*
 * Whether nobody else refers to an exchange or its two callables, so that it
 * rests in the driver and serves the next request. `known` is the number of
 * references to the exchange that the caller can name: send and receive hold
 * one each, the rest are the caller's variables.
 */
static inline int fs_exchange_is_free(PyObject *exchange, PyObject *send, PyObject *receive, Py_ssize_t known)
{
    return Py_REFCNT(send) == 1 && Py_REFCNT(receive) == 1 && Py_REFCNT(exchange) == known;
}

/* Likewise for WSGI: each of the four callables holds one reference of the exchange. */
static inline int fs_request_is_over(PyObject *exchange, PyObject *start_response, PyObject *write, Py_ssize_t known)
{
    return Py_REFCNT(start_response) == 1 && Py_REFCNT(write) == 1 && Py_REFCNT(exchange) == known;
}

/* Whether anybody but its exchange and the `held` places in prototypes refers to a callable of the environ. */
static inline int fs_is_kept(PyObject *handle, Py_ssize_t held) { return Py_REFCNT(handle) != 1 + held; }

/*
 * Makes a call whose exception is not raised here: `failed` turns it into the
 * value to return. The compiler knows both functions, so this costs a comparison.
 * In Cython a `try` would save and restore the exception that is being handled,
 * each time.
 */
typedef PyObject *(*fs_call)(PyObject *self, PyObject *argument);
typedef PyObject *(*fs_failed)(PyObject *self);

static inline PyObject *fs_call_or(fs_call call, fs_failed failed, PyObject *self, PyObject *argument)
{
    PyObject *result = call(self, argument);
    return result ? result : failed(self);
}

/* Changes whenever the type is changed, as by a library that patches a class; 0 if the type has no version. */
static inline unsigned fs_type_version(PyObject *o) { return Py_TYPE(o)->tp_version_tag; }

/* Returns a call's result as Cython wants it: NULL with an exception set. Takes the reference. */
static inline PyObject *fs_owned(PyObject *result) { return result; }

/* len() if the type has one, -1 if it does not, -2 with an exception set. */
static inline Py_ssize_t fs_length_hint(PyObject *o)
{
    const PySequenceMethods *sequence = Py_TYPE(o)->tp_as_sequence;
    const PyMappingMethods *mapping = Py_TYPE(o)->tp_as_mapping;

    if (!(sequence && sequence->sq_length) && !(mapping && mapping->mp_length))
        return -1;
    return PyObject_Size(o) < 0 ? -2 : PyObject_Size(o);
}

/*
 * Keeps a few megabytes of freed memory. By default glibc returns the top of the
 * heap as soon as 128 KiB are free, and maps every larger block anew. A server
 * that receives bodies in pieces of 256 KiB would fault the same pages in for
 * each piece, a third of an upload's cost. Other allocators do not do so.
 */
static inline void fs_keep_freed_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, 4 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

static inline void fs_owner_retain(void *owner) { Py_INCREF((PyObject *)owner); }
static inline void fs_owner_release(void *owner) { Py_DECREF((PyObject *)owner); }

#endif
