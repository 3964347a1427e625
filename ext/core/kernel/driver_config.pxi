# A driver's configuration: limits by name, the protocols to speak, and headers of every answer.

cdef raises set_limits(fs_limits *limits, given) except -1:
    """Sets the defaults, then the limits that are given by name."""
    cdef bytes name
    cdef int found
    fs_limits_default(limits)
    for key, value in given.items():
        name = key.encode()
        found = fs_limits_set(limits, name, len(name), PyNumber_Index(value))  # not truncated
        if found == FS_LIMIT_UNKNOWN:
            raise ValueError(f"unknown limit {key!r}")
        if found == FS_LIMIT_TOO_LARGE:
            raise OverflowError(f"{key}: {value} is larger than this limit can be")
    return 0


cdef dict default_limits():
    cdef fs_limits limits
    fs_limits_default(&limits)
    return {fs_limits_name(i).decode(): fs_limits_get(&limits, i) for i in range(FS_LIMIT_COUNT)}


LIMITS = types.MappingProxyType(default_limits())

STATUS_FIELDS = tuple(fs_status_names[i].decode() for i in range(FS_STATUS_COUNT))


cdef dict HTTP_VERSIONS = {"auto": HTTP_ANY, "1.1": HTTP_1_ONLY, "2": HTTP_2_ONLY}


cdef bytes header_lines(headers):
    """Returns the `--header` fields as they go out, checked once."""
    lines = []
    for name, value in headers:
        if not fs_is_token(name, len(name)) or not fs_is_field_value(value, len(value)):
            raise ValueError(f"{name.decode('latin-1')!r}: {value.decode('latin-1')!r} is not a valid header")
        if name.lower() in (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"):
            raise ValueError(f"{name.decode('latin-1')!r} is the server's own header and cannot be set")
        lines.append(name.lower() + b": " + value + b"\r\n")
    return b"".join(lines)
