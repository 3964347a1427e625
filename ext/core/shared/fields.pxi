# Fields on their way from an application to a head.

cdef enum:
    FIELDS_ON_STACK = 64        # fields that fit on the stack; more take memory, or are refused


cdef raises raise_of_field(object pair, int error) except -1:
    """Raises the ValueError for what fs_check_field found."""
    if error == FS_E_APP_FIELD_NAME:
        raise ValueError(f"not a header name: {pair!r:.100}")
    raise ValueError(f"not a header value: {pair!r:.100}")
