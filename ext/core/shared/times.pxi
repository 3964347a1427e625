# Deadlines: times are monotonic milliseconds, and 0 is none.

cdef inline uint64_t earliest(uint64_t a, uint64_t b) noexcept:
    """Of two times, 0 being none."""
    return b if a == 0 or b != 0 and b < a else a
