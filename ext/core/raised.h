#ifndef FS_CORE_RAISED_H
#define FS_CORE_RAISED_H

#include <Python.h>

/* Takes the current exception, normalised, with its traceback, and clears the error indicator. A new reference. */
#if PY_VERSION_HEX >= 0x030C0000
#define fs_raised PyErr_GetRaisedException
#else
static inline PyObject *fs_raised(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}
#endif

#endif
