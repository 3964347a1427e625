# The native strings of a WSGI application (PEP 3333, "A Note On String Types"): the status and the headers. In memory,
# the characters of a Latin-1 str are the bytes that are sent, so nothing is encoded.

cdef extern from "Python.h":
    int PyUnicode_KIND(object o)
    enum: PyUnicode_1BYTE_KIND


cdef inline bint is_latin(object o) noexcept:
    """Whether the characters of a str are bytes in memory: of Latin-1, as PEP 3333 wants a native string."""
    return PyUnicode_KIND(o) == PyUnicode_1BYTE_KIND


cdef int status_code(object status) except -1:
    """Returns the number of a status line's "999 Reason"."""
    cdef const unsigned char *p
    cdef int code
    if not isinstance(status, str):
        raise TypeError(f"a status is a str, not {type(status).__name__}")
    if not is_latin(status) or PyUnicode_GET_LENGTH(status) < 3:
        raise ValueError(f"not a status: {status!r:.100}; it is like '200 OK'")
    p = <const unsigned char *>PyUnicode_DATA(status)
    # A null follows the characters.
    if not (c'0' <= p[0] <= c'9' and c'0' <= p[1] <= c'9' and c'0' <= p[2] <= c'9' and (
            p[3] == c' ' or PyUnicode_GET_LENGTH(status) == 3)):
        raise ValueError(f"not a status: {status!r:.100}; it is like '200 OK'")
    code = (p[0] - c'0') * 100 + (p[1] - c'0') * 10 + p[2] - c'0'
    if code < 200:
        raise ValueError(f"not a final status: {status!r:.100}")
    if PyUnicode_GET_LENGTH(status) == 3:
        return code         # without a reason: uWSGI and gunicorn take it, the server knows the usual ones
    if p[PyUnicode_GET_LENGTH(status) - 1] == c' ' and PyUnicode_GET_LENGTH(status) > 4 or not fs_is_field_value(
            <const char *>p + 4, PyUnicode_GET_LENGTH(status) - 4):
        raise ValueError(f"a status with a control character or a blank around its reason: {status!r:.100}")
    return code


cdef raises borrow_text(object pair, fs_field *field) except -1:
    """Borrows name and value of a pair of native strings; they live as long as `pair`."""
    cdef object name, value
    if type(pair) is not tuple or PyTuple_GET_SIZE(pair) != 2:
        raise TypeError(f"a header is a tuple of two str, not {pair!r:.100}")
    name = <object>PyTuple_GET_ITEM(pair, 0)
    value = <object>PyTuple_GET_ITEM(pair, 1)
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"a header is a tuple of two str, not {pair!r:.100}")
    if not is_latin(name) or not is_latin(value):
        raise ValueError(f"a header has characters beyond Latin-1: {pair!r:.100}")
    if PyUnicode_GET_LENGTH(name) > 65536 or PyUnicode_GET_LENGTH(value) > 16777216:
        raise ValueError(f"a header is too long: {pair!r:.100}")
    field.name = <const char *>PyUnicode_DATA(name)
    field.name_len = <uint32_t>PyUnicode_GET_LENGTH(name)
    field.value = <const char *>PyUnicode_DATA(value)
    field.value_len = <uint32_t>PyUnicode_GET_LENGTH(value)
    field.id = 0
    return 0


cdef inline bint is_hop_by_hop(uint32_t id) noexcept:
    """Whether a field is about the connection or the framing, and so the server's own: PEP 3333, "Other HTTP Features",
    and RFC 9110 section 7.6.1. The protocols leave it out. `Trailer` and the proxies' challenges, which RFC 2616 counts
    too, are the application's: they are for the client."""
    return id in (FS_FIELD_CONNECTION, FS_FIELD_KEEP_ALIVE, FS_FIELD_PROXY_CONNECTION, FS_FIELD_TE,
                  FS_FIELD_TRANSFER_ENCODING, FS_FIELD_UPGRADE)


cdef inline bint says_close(object pair, uint32_t id) except -1:
    cdef fs_field field
    borrow_text(pair, &field)
    return id == FS_FIELD_CONNECTION and fs_list_has(field.value, field.value_len, "close")


cdef uint32_t check_text_field(object pair) except? 0xffffffff:
    """Returns a header's id. Raises if the header is wrong."""
    cdef fs_field field
    cdef uint32_t id
    cdef int result
    borrow_text(pair, &field)
    result = fs_check_field(&field, &id)
    if result < 0:
        raise_of_field(pair, result)
    return id
