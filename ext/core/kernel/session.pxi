# What a connection asks of the protocol that it speaks. HTTP/1 (h1_session.pxi) and HTTP/2 (h2_session.pxi) fill it; the connection
# (connection.pxi) turns, receives, sends and ends, and knows of neither. A change of protocol is a change of object
# (Connection.speak), which takes along the bytes that have come.
#
# A session belongs to one connection, which holds it; they refer to each other until Driver.bury. Its machine (ext/proto) writes to
# the connection's out-queue. What runs the application's code may end the connection: a session looks again at connection.fd, and
# at which exchange it has, after each such call.
#
# This class itself is the session of a connection that has ended and been let go: nothing is wanted, nothing happens.

cdef class Session:

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        """Whether the next recv is due. False pauses the reader: what comes stays in the kernel."""
        return False

    cdef uint64_t body_wanted(self) noexcept:
        """How many bytes of a request's body may be received to where they stay, without a copy; 0 for none."""
        return 0

    cdef bint receive_direct(self) except -1:
        """Receives such bytes, after body_wanted has said how many. False when the socket is drained, or the connection at its end."""
        return False

    cdef int feed(self, char *p, size_t n) noexcept:
        """Takes bytes, which are borrowed until `settle` and may be written to. FS_OK, or an FS_E_* that goes to `refuse`."""
        return FS_OK

    cdef int settle(self) noexcept:
        """Copies what must outlive the worker's buffer, which the next recv overwrites. FS_OK, or an FS_E_* that goes to
        `not_kept`."""
        return FS_OK

    cdef raises not_kept(self, int error) except -1:
        """There was no room, or no memory, for what has come. Answers that as far as it can."""

    cdef raises events(self) except -1:
        """Takes what has come apart, and gives it to exchanges: opens them, starts them, ends them."""

    cdef raises on_eof(self) except -1:
        """The peer sends no more. It may still read, so what it has asked for is answered."""

    # ---- requests and their exchanges

    cdef raises attach(self, Exchange exchange, fs_event *event) except -1:
        """The exchange answers the request of this event, which has a head. From here on the session has it."""

    cdef list exchanges(self):
        """Those that are being read or answered."""
        return []

    cdef bint awaits_step(self) noexcept:
        """Whether the application is about to be called, after which comes another turn: this one need not send."""
        return False

    cdef raises refuse(self, int error) except -1:
        """The peer has broken the protocol: answered where that can be, and then nothing more is taken from it."""

    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1:
        """What follows of one request cannot be taken: that one is answered with the error's status."""

    cdef raises response_ended(self, Exchange exchange) except -1:
        """The last byte of its answer is queued, or the answer was broken off: the session forgets the exchange."""

    cdef raises lose_all(self) except -1:
        """Nothing reaches the peer any more: every exchange is told, and forgotten."""

    # ---- what an exchange asks, by way of the connection

    cdef bint reads_for(self, Exchange exchange) noexcept:
        """Whether it pays to receive within the application's own step, which waits for a body."""
        return False

    cdef bint has_input(self) noexcept:
        """Whether a turn would find bytes to take, or a window to open, now that an exchange takes some."""
        return False

    cdef raises body_awaited(self, Exchange exchange) except -1:
        """The application waits for a body: its client is late from now on, not from before."""

    cdef raises tunnel_opened(self) except -1:
        """The exchange has accepted an upgrade: it takes bytes in place of events from here on."""

    cdef bint is_full(self, Exchange exchange) except -1:
        """Whether its `send` has to wait. Flushes first, which may end the exchange or the connection: then it is False."""
        return False

    cdef uint64_t unsent(self, Exchange exchange) noexcept:
        """Bytes of its answer that wait to be sent."""
        return 0

    cdef bint room_is_read(self) noexcept:
        """Whether the peer makes room for an answer by what it sends, as by opening a window."""
        return False

    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1:
        """Looks at the socket, outside of a turn: whether nobody waits for the answer any more. Where that cannot be seen without
        a turn, there is one only if it `may_turn`."""
        return False

    # ---- bytes out

    cdef int pump(self) except -1:
        """Queues what may leave, up to the high-water mark."""

    cdef raises note_room(self) except -1:
        """The socket has taken bytes: exchanges that wait for room may go on."""

    # ---- time, and the end

    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept:
        """What the connection waits for, when no byte waits to be sent: since when, and until when; both monotonic ms, and a
        deadline of 0 is none. `since` and the phase tell one wait from another."""
        return PHASE_NONE

    cdef bint awaits_peer(self) noexcept:
        """Whether the deadline is one of the peer's, who is excused while the worker stands still, and not the application's."""
        return True

    cdef raises expired(self, uint64_t now) except -1:
        """The deadline of `waits_for` has passed. `now`: monotonic ms, without the time in which the worker stood still."""

    cdef raises drain(self) except -1:
        """The worker stops: the peer is told where the protocol can say so, and the deadline is set anew."""

    cdef bint is_finished(self) except -1:
        """Whether the connection ends here, at the end of a turn: all is said, and nothing more is to come."""
        return False

    cdef bint is_complete(self) noexcept:
        """Whether what is queued is the end of the last answer, and a whole one: what was broken off must not look so."""
        return False

    cdef bint must_reset(self) noexcept:
        """Whether a FIN would make a broken answer look whole: then the connection ends by RST."""
        return False

    cdef bint must_linger(self) noexcept:
        """Whether the peer may still be sending: a close would then be a reset, which overtakes the answer (RFC 9112 section 9.6)."""
        return True


cdef Session ENDED = Session()
