# TLS between a connection and its socket: received bytes are decrypted before the protocol sees them, and what the
# protocol has queued is encrypted on its way out. The filter itself is in tls.pxi.

cdef Py_ssize_t receive_tls(Connection connection, Py_ssize_t taken, Py_ssize_t n) except -1:
    """Decrypts what was received. Returns how much plaintext is at the beginning of the buffer."""
    cdef Driver driver = connection.driver
    cdef TLSFilter tls = connection.tls
    if tls.no_bytes_yet:
        tls.no_bytes_yet = False
        if speaks_http(driver.buffer + taken, n - taken):
            connection.tls = None
            connection.refuse(FS_E_PLAIN_HTTP)
            return 0
    try:
        tls.incoming.write(driver.view[taken:n])
        if tls.state == TLS_HANDSHAKE and not shake_hands(connection):
            return 0
        n = tls.decrypt(driver.buffer, receive_room(connection), driver.view)
    except ssl.SSLError as error:
        fail_tls(connection, error)
        return 0
    if tls.peer_closed:
        connection.look_again()     # the next look at the socket reports it, after these bytes
    return n


cdef bint shake_hands(Connection connection) except -1:
    """Takes a step of the handshake. Returns whether it is done."""
    cdef Driver driver = connection.driver
    driver.handshakes += 1
    if not connection.tls.shake(driver.logger):
        return False
    driver.status.tls_handshakes += 1
    if connection.tls.ssl.selected_alpn_protocol() == "h2":
        begin_http2(connection)
    return True


cdef raises begin_tls(Connection connection, object settings) except -1:
    connection.tls = open_filter(settings, &connection.driver.pool)
    begin_wait(connection, PHASE_TLS, connection.driver.limits.timeout_tls_handshake)


cdef raises fail_tls(Connection connection, object error) except -1:
    """Ends a connection whose peer does not speak TLS as allowed here: it gets the alert, and nothing after it."""
    if connection.tls.state != TLS_HANDSHAKE:
        connection.lose(FS_E_TLS)
        return 0
    refused(connection, FS_E_TLS, str(error))
    send_tls(connection)
    connection.linger()


cdef int flush_tls(Connection connection, uint64_t *sent) except? -1:
    """Encrypts no more than the socket takes: what fs_outqueue_flush does, with TLS in between. Ciphertext that already
    waits, such as the tickets of a handshake, leaves with what follows it, and close_notify with the last bytes."""
    cdef TLSFilter tls = connection.tls
    cdef uint64_t part
    cdef int result
    while True:
        if connection.queue.size and tls.state == TLS_OPEN and tls.wire.size < RECORD_MAX:
            result = tls.encrypt(&connection.queue)
            if result < 0:
                return result
            if connection.fd < 0:
                return 0            # what was dropped has ended the connection
            if connection.queue.size == 0 and connection.session.is_complete():
                tls.say_goodbye()
        part = 0
        result = fs_outqueue_flush(&tls.wire, connection.fd, FLUSH_BUDGET, &part)
        sent[0] += part
        if result != 0 or connection.queue.size == 0 or tls.state != TLS_OPEN:
            return result
        if sent[0] >= FLUSH_BUDGET:
            return FS_AGAIN


cdef raises send_tls(Connection connection) except -1:
    """Sends the waiting ciphertext as far as the socket takes it: an alert, or the last record."""
    cdef uint64_t sent = 0
    flush_tls(connection, &sent)
    connection.driver.status.bytes_out += sent


cdef raises end_tls(Connection connection) except -1:
    connection.tls.say_goodbye()
    send_tls(connection)
