# Receipts: what the access log and the durations say of an answer when the kernel has taken its last byte, or the
# client has left before that. A given answer may be in transit for minutes.

cdef enum:
    RECEIPT_MIN = 65536         # waiting bytes: with fewer, and without a log, an answer counts as sent when given
    LOOK_FOR_FIN_US = 1000      # the client may have left meanwhile if an answer took longer
    CONFIRM_MS = 1000           # until a peer that has sent FIN is assumed to have got the rest


@cython.final
@cython.no_gc           # it refers to strings, bytes and an address
@cython.freelist(64)
cdef class Receipt:
    """The receipt of one answer. It belongs to its connection's chain."""


cdef inline bint needs_receipt(Connection connection, uint64_t unsent) noexcept:
    return connection.driver.access_log.fd >= 0 or unsent > RECEIPT_MIN


cdef raises add_receipt(Connection connection, Exchange exchange, fs_h2_stream *stream) except -1:
    """Notes that the exchange's whole answer was given. HTTP/1's ends where the queue ends now, and `stream` is NULL; a
    stream frames its answer later."""
    cdef Receipt receipt = Receipt.__new__(Receipt)
    receipt.has_line = connection.driver.access_log.fd >= 0 and not exchange.logged and exchange.method is not None
    receipt.counts = exchange.stream.head_sent and not exchange.counted
    if not receipt.has_line and not receipt.counts:
        return 0
    if receipt.has_line:
        exchange.logged = True
        receipt.client = exchange.client
        receipt.method = exchange.method
        receipt.raw_path = exchange.raw_path
        receipt.query = exchange.query
        receipt.version = exchange.version
        receipt.started_us = exchange.started_us
    if receipt.counts:
        exchange.counted = True
        receipt.begun_us = exchange.begun_us
    receipt.status = exchange.stream.status
    receipt.size = exchange.sent()
    receipt.end = left_queue(connection) + connection.queue.size
    if connection.last_receipt is None:
        connection.receipts = receipt
    else:
        connection.last_receipt.next = receipt
    connection.last_receipt = receipt
    if stream != NULL:
        receipt.stream = stream
        stream.receipt = <void *>receipt
    return 0


cdef inline uint64_t left_queue(Connection connection) noexcept:
    """Returns the bytes that have left the connection's out-queue: for the kernel, or for the TLS filter."""
    return connection.sent if connection.tls is None else connection.tls.passed


cdef raises settle_receipts(Connection connection) except -1:
    """After a flush: writes the lines of the answers that the kernel has taken by now. A line may be the one that finds
    the log full, which is said, and runs the application's code: each begins from the chain as it is then."""
    cdef uint64_t now_us = 0
    cdef Receipt receipt = take_settled(connection, &now_us)
    while receipt is not None:
        write_receipt(connection, receipt, receipt.status, receipt.dropped, now_us)
        receipt = take_settled(connection, &now_us)
    return 0


cdef Receipt take_settled(Connection connection, uint64_t *now_us):
    """Takes the first whose answer the kernel has out of the chain. If the peer has sent FIN, the last of them stays:
    whether anybody was there to read it is known later."""
    cdef Receipt receipt = connection.receipts
    cdef Receipt before = None
    while receipt is not None and not is_taken(connection, receipt):
        before = receipt
        receipt = receipt.next
    if receipt is None:
        return None
    if now_us[0] == 0:
        now_us[0] = fs_monotonic_us()
    if receipt.next is None and has_sent_fin(connection, receipt, now_us[0]):
        return None
    if before is None:
        connection.receipts = receipt.next
    else:
        before.next = receipt.next
    if receipt.next is None:
        connection.last_receipt = before
    return receipt


cdef bint has_sent_fin(Connection connection, Receipt receipt, uint64_t now_us) noexcept:
    """Whether the client has left. If an answer took a while, asks the socket: a FIN that came meanwhile may be
    unread."""
    if connection.flags & (CONN_EOF | CONN_PEER_CLOSED):
        return True
    return now_us > receipt.started_us + LOOK_FOR_FIN_US and has_left(connection.fd)


cdef bint is_taken(Connection connection, Receipt receipt) noexcept:
    """Whether the kernel has the answer's last byte."""
    if receipt.stream != NULL:
        if not fs_h2_is_framed(receipt.stream):
            return False
        leave_stream(connection, receipt)
    if left_queue(connection) < receipt.end:
        return False
    if connection.tls is None:
        return True
    if receipt.wire_end == 0:
        receipt.wire_end = connection.sent + connection.tls.wire.size
    return connection.sent >= receipt.wire_end


cdef void leave_stream(Connection connection, Receipt receipt) noexcept:
    """Ends the stream's part: it has framed all that it ever will, and the rest is the connection's."""
    receipt.dropped = min(receipt.size, receipt.stream.dropped)
    if fs_h2_is_broken_off(receipt.stream):
        receipt.status = 499
    receipt.end = left_queue(connection) + connection.queue.size
    receipt.stream.receipt = NULL
    receipt.stream = NULL


cdef raises give_up_receipts(Connection connection) except -1:
    """Ends the receipts of a connection that ends with answers in transit. Its queues are unchanged by then, and its
    descriptor is closed."""
    cdef Receipt receipt = connection.receipts
    cdef uint64_t now_us, unsent, taken = left_queue(connection)
    cdef bint cut
    connection.receipts = connection.last_receipt = None
    now_us = fs_monotonic_us()
    while receipt is not None:
        if receipt.stream != NULL:
            receipt.stream.dropped += receipt.stream.body.size(receipt.stream.body)
            leave_stream(connection, receipt)
        unsent = receipt.end - min(receipt.end, taken)
        if connection.tls is not None and (receipt.wire_end == 0 or connection.sent < receipt.wire_end):
            unsent += connection.tls.wire.size
        unsent += receipt.dropped
        cut = connection.error == FS_E_PEER_GONE and (unsent or connection.flags & CONN_EOF)
        write_receipt(connection, receipt, 499 if cut else receipt.status, unsent, now_us)
        receipt = receipt.next
    return 0


cdef raises write_receipt(Connection connection, Receipt receipt, int status, uint64_t unsent, uint64_t now_us) except -1:
    """Writes and counts a receipt. `unsent`: bytes of the answer, with framing, that nobody will get."""
    cdef Driver driver = connection.driver
    if receipt.counts:
        fs_status_count_response(driver.status, status)
        fs_status_count_durations(driver.status, now_us - receipt.begun_us, 1)
    if receipt.has_line:
        driver.access_log.line(receipt.client, receipt.method, receipt.raw_path, receipt.query, receipt.version, status,
                               receipt.size - min(receipt.size, unsent), now_us - receipt.started_us, driver.now)
    return 0


# ---- a peer that has sent FIN: it may have closed all of the connection, or read on

cdef int ask_for_news(Connection connection) noexcept:
    """Asks whether a peer that sends no more has got everything that was sent: it acknowledges the rest, or resets the
    connection, within a second at most. Returns 1 if it has, or nobody wants to know; FS_E_PEER_GONE if it has not; 0
    if that is not known yet: then FIN was sent."""
    cdef int result
    if connection.receipts is None:
        return 1
    result = fs_delivered(connection.fd)
    if result == 0 and fs_shutdown_write(connection.fd) < 0 or result < 0:
        return FS_E_PEER_GONE
    return result


cdef raises confirm(Connection connection) except -1:
    """Called when the kernel has news of the connection."""
    cdef int result = fs_delivered(connection.fd)
    if result < 0:
        connection.lose(FS_E_PEER_GONE)
    elif result > 0:
        connection.close(False)
    return 0
