# What a worker has refused and what it holds, counted in its status (status.h) and logged.

cdef enum:
    ROOM_SAID_MS = 60000


cdef void count_error(Driver driver, int error) noexcept:
    if -512 < error < 0:
        driver.status.errors[-error] += 1
    if error == FS_E_NO_ROOM:
        driver.status.no_room += 1
    elif error == FS_E_NEVER_FITS:
        driver.status.never_fits += 1
    if fs_error_is_application(error):
        driver.status.application_errors += 1
    elif fs_error_is_peer(error) and error not in (FS_E_OVERLOADED, FS_E_QUEUE_TIMEOUT, FS_E_NO_ROOM, FS_E_PEER_GONE):
        driver.status.peer_errors += 1


cdef void say_no_room(Driver driver, int error) noexcept:
    """Logs that there is no room, at most once a minute: clients could fill the log."""
    if error != FS_E_NO_ROOM or driver.room_said and driver.now < driver.room_said + ROOM_SAID_MS:
        return
    driver.room_said = driver.now
    report(driver.logger, LOG_WARNING, "requests are answered 503: for clients %d bytes are held in memory and %d in files "
           "(--limit-buffered, --limit-body-files)", (driver.memory.used, driver.files.used))


cdef void show_held(Driver driver) noexcept:
    driver.status.buffered = driver.memory.used
    driver.status.body_files = driver.files.used


cdef raises check_held(Driver driver) except -1:
    """In a debug build: checks that what is charged to clients belongs to somebody. (An application may keep a
    file.)"""
    if FS_DEBUG and driver.live == 0 and driver.running == 0 and live_objects["connections"] == 0:
        assert driver.memory.used == 0, f"{driver.memory.used} bytes are charged to clients that are gone"
