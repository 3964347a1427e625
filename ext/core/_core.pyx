"""The compiled core: sockets, HTTP/1.1, WebSocket, and the ASGI and WSGI exchanges of one worker.

Joins the C rooms `net` and `proto` to Python. Each included file is one idea; _core.pxd has every object's layout.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBUF_WRITE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport (PyDict_Check, PyDict_Contains, PyDict_Copy, PyDict_DelItem, PyDict_Next, PyDict_SetItem,
                           PyDict_Size, PyDict_Update)
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear, PyErr_Occurred
from cpython.list cimport PyList_GET_SIZE, PyList_New
from cpython.long cimport PyLong_Check
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject_IsTrue
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_Pack
from cpython.unicode cimport (PyUnicode_AsUTF8AndSize, PyUnicode_DecodeLatin1, PyUnicode_DecodeUTF8,
                              PyUnicode_GET_LENGTH)

from libc.errno cimport (EAGAIN, EBADF, EINTR, EINVAL, EIO, EMFILE, ENFILE, ENOBUFS, ENODATA, ENOMEM, ENOTSOCK, EPIPE, errno)
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset
from libc.time cimport gmtime_r, strftime, time_t, tm

from base cimport *
from net cimport *
from proto cimport *

import asyncio
import binascii
import collections
import contextvars
import hashlib
import io
import os
import random
import socket
import ssl
import stat
import sys
import tempfile
import threading
import traceback
import types
import weakref

cdef extern from "Python.h":
    # Borrowed references, which Cython's own declarations do not return.
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    PyObject *PyList_GET_ITEM(object o, Py_ssize_t i)
    PyObject *PyTuple_GET_ITEM(object o, Py_ssize_t i)
    PyObject *PySequence_Fast_GET_ITEM(object o, Py_ssize_t i)
    Py_ssize_t PySequence_Fast_GET_SIZE(object o)
    void PyList_SET_ITEM(object o, Py_ssize_t i, object item)
    PyObject *new_bytes "PyBytes_FromStringAndSize" (const char *p, Py_ssize_t n) except NULL
    int _PyBytes_Resize(PyObject **bytes, Py_ssize_t n) except -1
    bint PyCoro_CheckExact(object o)
    long PyLong_AsLongAndOverflow(object o, int *overflow) except? -1
    bint PyUnicode_IS_ASCII(object o)
    void *PyUnicode_DATA(object o)
    Py_ssize_t Py_REFCNT(PyObject *o)

cdef extern from "<unistd.h>" nogil:
    ssize_t c_write "write" (int fd, const void *p, size_t n)

cdef extern from "<poll.h>" nogil:
    enum:
        POLLIN
        POLLOUT
        POLLRDHUP
    struct pollfd:
        int fd
        short events
    int c_poll "poll" (pollfd *fds, unsigned long n, int timeout_ms)

cdef extern from "slots.h":
    bint FS_DEBUG
    void fs_keep_freed_memory()
    bint fs_exchange_is_free(PyObject *exchange, PyObject *send, PyObject *receive, Py_ssize_t known)

cdef extern from "signals.h":
    int fs_signal_unhear(int number)

cdef extern from "bytes_memory.h":
    const fs_allocator fs_bytes_allocator
    object fs_bytes_of(char *p, size_t n)

cdef dict live_objects = {"connections": 0, "exchanges": 0}
cdef object live_drivers = weakref.WeakSet()      # in a debug build

# shared: what several parts use. kernel: the driver, connections and their protocols; it calls interfaces and exchanges
# by their base classes. asgi, wsgi: an interface each; they know the kernel and not each other.
# tests/test_core_parts.py checks that.

include "shared/report.pxi"
include "shared/times.pxi"
include "shared/fields.pxi"
include "shared/request.pxi"
include "shared/open_file.pxi"
include "shared/pieces.pxi"
include "shared/head_caches.pxi"
include "shared/access_log.pxi"
include "shared/tls.pxi"

include "kernel/interface.pxi"
include "kernel/exchange.pxi"
include "kernel/queue.pxi"
include "kernel/own_answers.pxi"
include "kernel/receipts.pxi"
include "kernel/session.pxi"
include "kernel/h1_session.pxi"
include "kernel/h2_session.pxi"
include "kernel/opening.pxi"
include "kernel/tls_traffic.pxi"
include "kernel/peer.pxi"
include "kernel/forwarding.pxi"
include "kernel/deadlines.pxi"
include "kernel/sibling.pxi"
include "kernel/descriptors.pxi"
include "kernel/listening.pxi"
include "kernel/counting.pxi"
include "kernel/refusals.pxi"
include "kernel/driver_config.pxi"
include "kernel/connection.pxi"
include "kernel/driver.pxi"

include "asgi/awaitable.pxi"
include "asgi/scope.pxi"
include "asgi/application.pxi"
include "asgi/exchange.pxi"
include "asgi/callables.pxi"
include "asgi/http.pxi"
include "asgi/websocket.pxi"
include "asgi/interface.pxi"

include "wsgi/environ.pxi"
include "wsgi/body_store.pxi"
include "wsgi/file_wrapper.pxi"
include "wsgi/headers.pxi"
include "wsgi/threads.pxi"
include "wsgi/application.pxi"
include "wsgi/exchange.pxi"
include "wsgi/interface.pxi"

fill_field_names()

DEBUG = bool(FS_DEBUG)
HAVE_ZLIB = bool(fs_ws_deflate_available)
HAVE_NGHTTP2 = bool(fs_h2_available)
LLHTTP_VERSION = f"{LLHTTP_VERSION_MAJOR}.{LLHTTP_VERSION_MINOR}.{LLHTTP_VERSION_PATCH}"


def unhear(int number):
    cdef int result = fs_signal_unhear(number)
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def keep_freed_memory():
    """Tunes the allocator for large bodies. For a process of our own: an embedding program's is not ours to tune."""
    fs_keep_freed_memory()


def ledger():
    """Returns the numbers of live connections and exchanges, and the bytes that all drivers hold for clients, in memory
    and in files; empty in a build without FASTSERVE_DEBUG=1."""
    if not FS_DEBUG:
        return {}
    drivers = list(live_drivers)
    return {**live_objects, "buffered": sum((<Driver>driver).memory.used for driver in drivers),
            "body_files": sum((<Driver>driver).files.used for driver in drivers)}
