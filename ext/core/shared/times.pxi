# Deadlines: monotonic milliseconds; 0 is no deadline.

cdef inline uint64_t earliest(uint64_t a, uint64_t b) noexcept:
    """Returns the earlier of two times; 0 is none."""
    return b if a == 0 or b != 0 and b < a else a
