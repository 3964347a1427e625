#ifndef FS_CORE_BYTES_MEMORY_H
#define FS_CORE_BYTES_MEMORY_H

#include "base/allocator.h"

#include <Python.h>
#include <string.h>

/*
 * Memory for the C rooms that is the inside of a bytes object: what they
 * assemble becomes Python's without another copy. Whoever calls into a machine
 * with this allocator holds the GIL.
 */

static inline PyObject *fs_bytes_around(void *p)
{
    return (PyObject *)((char *)p - offsetof(PyBytesObject, ob_sval));
}

static void fs_bytes_release(void *ctx, void *p)
{
    (void)ctx;
    Py_DECREF(fs_bytes_around(p));
}

/* Not _PyBytes_Resize, which frees the old object if it fails: `p` has to stay unchanged. */
static void *fs_bytes_resize(void *ctx, void *p, size_t n)
{
    PyObject *made = n <= PY_SSIZE_T_MAX / 2 ? PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n) : NULL;
    size_t old;

    if (!made) {
        PyErr_Clear();
        return NULL;
    }
    if (p) {
        old = (size_t)PyBytes_GET_SIZE(fs_bytes_around(p));
        memcpy(PyBytes_AS_STRING(made), p, old < n ? old : n);
        fs_bytes_release(ctx, p);
    }
    return PyBytes_AS_STRING(made);
}

static const fs_allocator fs_bytes_allocator = {.resize = fs_bytes_resize, .release = fs_bytes_release};

/* The object itself, cut to n bytes: a new reference that takes over the memory, or NULL with an exception. */
static inline PyObject *fs_bytes_of(char *p, size_t n)
{
    PyObject *object = fs_bytes_around(p);

    if ((size_t)PyBytes_GET_SIZE(object) != n && _PyBytes_Resize(&object, (Py_ssize_t)n) < 0)
        return NULL;
    return object;
}

#endif
