# Listeners, and the connections that they accept.

cdef enum:
    ACCEPT_BATCH = 128          # a listener's share of a turn
    ACCEPT_REST = 4096          # its share in the final round: the kernel's default backlog
    ACCEPT_PAUSE_MS = 100       # without descriptors: a pause, then another attempt


@cython.final
cdef class Listener:
    """A listening socket; the descriptor stays the caller's."""

    def __cinit__(self, int fd, bint shared, object tls, int redirect, uint64_t name, bint mailbox=False):
        cdef fs_address address
        cdef char text[FS_ADDRESS_TEXT]
        self.fd = fd
        self.name = name
        self.mailbox = mailbox
        self.shared = shared
        self.tls = tls
        self.redirect = redirect
        if fs_local_address(fd, &address) < 0:
            raise OSError(errno, "not a socket")
        if mailbox:
            return
        if address.family == FS_FAMILY_UNIX:
            self.server = (unix_path(fd), None)
        elif address.family in (FS_FAMILY_INET, FS_FAMILY_INET6):
            host = PyUnicode_DecodeLatin1(text, fs_address_format(&address, text), NULL)
            if host not in ("0.0.0.0", "::"):
                self.server = (host, address.port)


def unix_path(fd):
    with socket.socket(fileno=os.dup(fd)) as unix:
        name = unix.getsockname()
    return os.fsdecode(name) if isinstance(name, bytes) else name


cdef int watch_listener(Driver driver, Listener listener) except 1:
    """Watches a listener. Returns 0 or -errno."""
    cdef int result
    listener.slot = take_slot(driver, listener)
    result = fs_poller_add_listener(&driver.poller, listener.fd, slot_token(driver, listener.slot), listener.shared)
    if result < 0:
        free_slot(driver, listener.slot)
    return result


cdef Listener listener_of(Driver driver, int fd):
    cdef Listener listener
    for listener in listeners(driver):
        if listener.fd == fd:
            return listener
    raise ValueError(f"descriptor {fd} is not watched as a listener")


cdef raises accept_rest(Driver driver, list listeners, bint last) except -1:
    """Takes everything that waits. `last`: nothing is taken afterwards."""
    cdef Listener listener
    cdef bint polling
    driver.clock()
    polling = driver.let_turns_wait(True)
    try:
        for listener in listeners:
            if last:
                # First: the kernel wakes one of several processes that share a socket, and relies on it. A connection
                # that comes after this wakes another process; what came earlier is taken here.
                fs_poller_remove(&driver.poller, listener.fd)
                if listener.mailbox:
                    shut_mailbox(driver, listener)
            accept_from(driver, listener, ACCEPT_REST)
            if last:
                forget_listener(driver, listener)
    finally:
        driver.let_turns_wait(polling)
        if not polling:
            driver.finish_batch()


cdef raises accept_from(Driver driver, Listener listener, int most) except -1:
    cdef fs_address peer
    cdef int fd, i
    if listener.mailbox:
        return accept_handed(driver, listener, most)
    for i in range(most):
        fd = fs_accept(listener.fd, &peer)
        if fd >= 0:
            if PyList_GET_SIZE(driver.siblings):
                if i == 0:
                    note_short_lives(driver)
                if hand_over(driver, fd, &peer, listener):
                    continue
            driver.status.connections_total += 1
            open_connection(driver, fd, &peer, listener)
        elif fd == FS_AGAIN:
            return 0
        elif -fd in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
            pause_accepting(driver, -fd)
            return 0
        elif -fd in (EBADF, EINVAL, ENOTSOCK):
            # Somebody closed the socket under us.
            report(driver.logger, LOG_ERROR, "a listening socket is gone: %s", (os.strerror(-fd),))
            forget_listener(driver, listener)
            return 0
        else:
            driver.status.accept_errors += 1    # the client left before it was accepted: accept(2) says to go on


cdef raises pause_accepting(Driver driver, int error) except -1:
    """Pauses all listeners when no descriptors are left: they are level-triggered, so the loop would spin."""
    if driver.accept_paused_until == 0:
        report(driver.logger, LOG_ERROR, "no connection can be accepted: %s; raise the limit of open files, or set "
               "--limit-concurrency below it", (os.strerror(error),))
    driver.status.accept_errors += 1
    driver.accept_paused_until = driver.now + ACCEPT_PAUSE_MS
    driver.status.mailbox = 0
    for listener in listeners(driver):
        fs_poller_remove(&driver.poller, (<Listener>listener).fd)
    fs_wheel_arm(&driver.wheel, &driver.accept_timer, driver.accept_paused_until)


cdef raises resume_accepting(Driver driver) except -1:
    driver.accept_paused_until = 0
    for listener in listeners(driver):
        fs_poller_add_listener(&driver.poller, (<Listener>listener).fd, slot_token(driver, (<Listener>listener).slot),
                               (<Listener>listener).shared)
        if (<Listener>listener).mailbox:
            driver.status.mailbox = 1


cdef raises forget_listener(Driver driver, Listener listener) except -1:
    if listener.fd >= 0:
        fs_poller_remove(&driver.poller, listener.fd)
        listener.fd = -1
        free_slot(driver, listener.slot)


cdef raises open_connection(Driver driver, int fd, fs_address *peer, Listener listener) except -1:
    cdef Connection connection = None
    cdef int result
    try:
        connection = Connection.__new__(Connection, driver, fd)
        connection.slot = take_slot(driver, connection)
    except BaseException:
        if connection is not None:
            connection.abandon()
        fs_close(fd)
        raise
    connection.peer = peer[0]
    connection.listener = listener
    connection.opened = driver.now
    driver.live += 1
    driver.status.connections = driver.live
    if listener is not None:
        if listener.tls is not None:
            try:
                begin_tls(connection, listener.tls)
            except BaseException:
                connection.close(True)      # else it would be served without one
                raise
        elif listener.redirect:
            connection.redirects = True
    if driver.proxy_protocol is not None:
        expect_proxy_header(connection, driver.proxy_protocol)
        if connection.fd < 0:
            return 0
    result = fs_poller_add(&driver.poller, fd, slot_token(driver, connection.slot))
    if result < 0:
        report(driver.logger, LOG_ERROR, "a connection cannot be watched: %s", (os.strerror(-result),))
        connection.close(True)
    return 0
