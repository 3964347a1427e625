# The one deadline of a connection: what it waits for, since when and until when, and what happens when it has passed.

cdef enum:
    LOOK_MS = 1000              # between two looks at what a slow peer has acknowledged
    GRACE_MAX = 86400000        # ms by which a deadline moves, at most, when the worker stood still


cdef void begin_wait(Connection connection, Phase phase, uint32_t ms) noexcept:
    """Sets the deadline of a new connection."""
    cdef Driver driver = connection.driver
    connection.phase = phase
    connection.since = driver.now
    connection.stalled = driver.stalled
    connection.deadline = driver.now + ms
    fs_wheel_arm(&driver.wheel, &connection.timer, connection.deadline)


cdef void set_deadline(Connection connection) noexcept:
    """Sets what the connection waits for now, and until when. Moves the timer itself only if it would fire too late."""
    cdef Driver driver = connection.driver
    cdef const fs_limits *limits = &driver.limits
    cdef Phase phase = PHASE_NONE
    cdef uint64_t since = 0         # when the wait began; phase and this tell one wait from another
    cdef uint64_t deadline = 0
    if connection.flags & CONN_LINGERING:
        phase = PHASE_LINGER
        if connection.phase != PHASE_LINGER:
            connection.read_progress = driver.now
        since = connection.since if connection.phase == PHASE_LINGER else driver.now
        deadline = min(since + limits.timeout_discard, connection.read_progress + limits.timeout_linger)
        if connection.flags & CONN_CONFIRMING:
            deadline = since + CONFIRM_MS
        if driver.drain_until:
            deadline = min(deadline, driver.drain_until + limits.timeout_linger)
    elif connection.tls is not None and connection.tls.state == TLS_HANDSHAKE:
        phase = PHASE_TLS
        since = connection.since
        deadline = since + limits.timeout_tls_handshake
    elif backlog(connection):
        phase = PHASE_WRITE
        if connection.phase != PHASE_WRITE:
            peer_reads(connection)
            connection.write_progress = driver.now    # it is late from now on, not from before
        since = connection.write_progress
        deadline = min(since + limits.timeout_write,
                       connection.looked_at + max(1, min(<uint32_t>LOOK_MS, limits.timeout_write // 8)))
    else:
        phase = connection.session.waits_for(&since, &deadline)
    if phase != connection.phase or since != connection.since:
        connection.phase = phase
        connection.since = since
        connection.grace = 0
        connection.stalled = driver.stalled
    connection.deadline = deadline + connection.grace if deadline else 0
    if deadline and (connection.timer.next == NULL or connection.timer.due > connection.deadline):
        fs_wheel_arm(&driver.wheel, &connection.timer, connection.deadline)


cdef raises deadline_passed(Connection connection) except -1:
    """Called when the timer has fired, perhaps too early: the deadline may have moved or gone. By then the batch's
    events are taken and its answers sent. What has arrived since, or could not be read while the worker stood still, is
    read first."""
    cdef Driver driver = connection.driver
    if connection.fd < 0 or connection.deadline == 0 or connection.flags & (CONN_IN_TURN | CONN_DEFERRED):
        return 0        # a turn sets the deadline, and the timer, when it ends
    if driver.now < connection.deadline:
        fs_wheel_arm(&driver.wheel, &connection.timer, connection.deadline)
        return 0
    connection.look_again()
    connection.turn()
    driver.send_deferred()
    if connection.fd < 0 or connection.deadline == 0 or connection.flags & (CONN_IN_TURN | CONN_DEFERRED):
        return 0
    if driver.now < connection.deadline or is_excused(connection):
        if connection.timer.next == NULL:
            fs_wheel_arm(&driver.wheel, &connection.timer, connection.deadline)
        return 0
    fs_wheel_disarm(&driver.wheel, &connection.timer)
    connection.hold()
    try:
        judge(connection)
    except BaseException as failure:
        connection.broken(failure)
    finally:
        connection.unhold()
    connection.turn()
    driver.send_deferred()
    return 0


cdef bint is_excused(Connection connection) noexcept:
    """Adds the time in which the worker stood still to the peer's deadline: the peer could not have been heard, nor
    have got what it waits for. Once for each wait, since an application that blocks repeatedly must not switch the
    deadlines off. Returns whether the deadline is in the future again."""
    cdef uint64_t stalled = connection.driver.stalled - connection.stalled
    if connection.grace or stalled == 0 or connection.phase == PHASE_DRAIN:
        return False
    if not connection.session.awaits_peer():
        return False        # the application's own time
    connection.grace = <uint32_t>min(stalled, <uint64_t>GRACE_MAX)
    connection.deadline += connection.grace
    return connection.driver.now < connection.deadline


cdef raises judge(Connection connection) except -1:
    """Acts on a late peer or application; the turn that follows sends and settles."""
    cdef Driver driver = connection.driver
    cdef Session session = connection.session
    if connection.phase == PHASE_WRITE:
        if not peer_reads(connection) and driver.now >= connection.write_progress + driver.limits.timeout_write + connection.grace:
            connection.lose(FS_E_PEER_STALLED)
    elif connection.phase == PHASE_LINGER:
        connection.close(False)
    elif connection.proxy_part is not None:
        connection.lose(FS_E_PROXY_HEADER)
    elif connection.phase == PHASE_TLS:
        connection.lose(FS_E_TLS)
    else:
        session.expired(driver.now - connection.grace)


cdef bint peer_reads(Connection connection) noexcept:
    """Whether the peer has acknowledged bytes since the last look. What send() took says nothing: the kernel's buffer
    takes bytes for a peer that never reads, and none for a slow reader until a third of the buffer is free."""
    cdef int unsent = fs_unsent(connection.fd)
    cdef uint64_t acknowledged = connection.sent - unsent if unsent >= 0 and <uint64_t>unsent <= connection.sent else 0
    connection.looked_at = connection.driver.now
    if acknowledged <= connection.acknowledged:
        return False
    connection.acknowledged = acknowledged
    connection.write_progress = connection.driver.now
    return True
