# What several interfaces need of a request.

cdef dict method_names = {
    name.encode(): sys.intern(name)
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
}


cdef object method_name(fs_slice method):
    name = PyBytes_FromStringAndSize(method.p, method.n)
    known = method_names.get(name)
    return known if known is not None else name.decode("ascii")


cdef inline bint is_get(const fs_request_head *head) noexcept:
    return head.method.n == 3 and memcmp(head.method.p, b"GET", 3) == 0
