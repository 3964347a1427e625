# The driver's table of descriptors: listeners, connections, and others' descriptors, whose readiness is reported to a
# callback. epoll carries a place in the table with its generation (Slot).

cdef uint64_t TOKEN = <uint64_t>1 << 63     # no pointer has this bit: the poller's own watch is one


@cython.final
cdef class Watch:
    """Somebody else's descriptor, whose readiness is reported to a callback."""


cdef int take_slot(Driver driver, object owner) except -1:
    cdef uint32_t i, n
    cdef Slot *grown
    if driver.slot_free == driver.slot_count:
        n = max(<uint32_t>64, driver.slot_count * 2)
        grown = <Slot *>realloc(driver.slots, n * sizeof(Slot))
        if grown == NULL:
            raise MemoryError()
        driver.slots = grown
        for i in range(driver.slot_count, n):
            grown[i].owner = NULL
            grown[i].generation = 0
            grown[i].next_free = i + 1
        driver.slot_count = n
    i = driver.slot_free
    driver.slot_free = driver.slots[i].next_free
    Py_INCREF(owner)
    driver.slots[i].owner = <PyObject *>owner
    return i


cdef void free_slot(Driver driver, uint32_t index) noexcept:
    cdef PyObject *owner = driver.slots[index].owner
    driver.slots[index].owner = NULL
    driver.slots[index].generation = (driver.slots[index].generation + 1) & 0x7fffffff
    driver.slots[index].next_free = driver.slot_free
    driver.slot_free = index
    Py_DECREF(<object>owner)


cdef void *slot_token(Driver driver, uint32_t index) noexcept:
    return <void *>(TOKEN | <uint64_t>driver.slots[index].generation << 32 | index)


cdef list owners_of(Driver driver, object kind):
    cdef uint32_t i
    return [<object>driver.slots[i].owner for i in range(driver.slot_count)
            if driver.slots[i].owner != NULL and type(<object>driver.slots[i].owner) is kind]


cdef list listeners(Driver driver):
    return owners_of(driver, Listener)


cdef list all_connections(Driver driver):
    return owners_of(driver, Connection)


cdef raises forget_watch(Driver driver, Watch watch) except -1:
    fs_poller_remove(&driver.poller, watch.fd)
    watch.fd = -1
    watch.callback = None
    free_slot(driver, watch.slot)


cdef raises tell_watches(Driver driver) except -1:
    """Calls the callbacks of ready descriptors between two batches, where they may do anything with the driver."""
    cdef Watch watch
    if driver.repeat_due:
        driver.repeat_due = False
        try:
            driver.repeat_callback()
        except Exception as failure:
            report(driver.logger, LOG_CRITICAL, "internal error in the periodic callback", (), failure)
    due, driver.watches_due = driver.watches_due, []
    for watch in due:
        watch.due = False
        if watch.fd >= 0:
            try:
                watch.callback()
            except Exception as failure:
                report(driver.logger, LOG_CRITICAL, "internal error: what watches descriptor %d has failed",
                       (watch.fd,), failure)
