# What more than one interface wants to know of a request.

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


cdef list forwarding_fields(const fs_request_head *head):
    """What a proxy says of the client, as pairs of bytes."""
    cdef uint32_t i
    cdef const fs_field *field
    fields = []
    for i in range(head.nfields):
        field = &head.fields[i]
        if field.id in (FS_FIELD_X_FORWARDED_FOR, FS_FIELD_X_FORWARDED_PROTO, FS_FIELD_X_FORWARDED_HOST):
            fields.append((PyBytes_FromStringAndSize(field.name, field.name_len),
                           PyBytes_FromStringAndSize(field.value, field.value_len)))
    return fields
