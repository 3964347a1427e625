# Fields on their way from an application to a head.

cdef enum:
    FIELDS_ON_STACK = 64        # fields that fit on the stack; more take memory, or are refused


cdef inline void trim_value(fs_field *field) noexcept:
    """Removes white space around a value, which does not belong to the value (RFC 9110 section 5.5)."""
    while field.value_len and field.value[field.value_len - 1] in (c' ', c'\t'):
        field.value_len -= 1
    while field.value_len and field.value[0] in (c' ', c'\t'):
        field.value += 1
        field.value_len -= 1
