# What a connection asks of its protocol. HTTP/1 (h1_session.pxi) and HTTP/2 (h2_session.pxi) implement it; the
# connection (connection.pxi) turns, receives, sends and ends, and knows neither of them. A change of protocol is a
# change of object (Connection.speak), which takes along the bytes that have come.
#
# A session belongs to one connection, which holds it; they refer to each other until Driver.bury. Its machine
# (ext/proto) writes to the connection's out-queue. Whatever runs the application's code may end the connection: after
# each such call a session looks again at connection.fd, and at which exchange it has.
#
# This class itself is the session of a connection that has ended and was let go: it wants nothing and does nothing.

cdef class Session:

    # ---- bytes in

    cdef bint wants_bytes(self) noexcept:
        """Whether the next recv is due. False pauses the reader: what comes stays in the kernel."""
        return False

    cdef uint64_t body_wanted(self) noexcept:
        """Returns how many bytes of a request's body may be received to where they stay, without a copy; 0 for none."""
        return 0

    cdef bint receive_direct(self) except -1:
        """Receives such bytes, as many as body_wanted has returned. Returns False if the socket is drained or the
        connection has ended."""
        return False

    cdef int feed(self, char *p, size_t n) noexcept:
        """Takes bytes, which are borrowed until `settle` and may be written to. Returns FS_OK, or an FS_E_* for
        `refuse`."""
        return FS_OK

    cdef int settle(self) noexcept:
        """Copies what must outlive the worker's buffer, which the next recv overwrites. Returns FS_OK, or an FS_E_* for
        `not_kept`."""
        return FS_OK

    cdef raises not_kept(self, int error) except -1:
        """Called when there was no room, or no memory, for what has come. Answers that as far as possible."""

    cdef raises events(self) except -1:
        """Parses what has come, and gives it to exchanges: opens them, starts them, ends them."""

    cdef raises on_eof(self) except -1:
        """Called when the peer sends no more. It may still read, so its requests are answered."""

    # ---- requests and their exchanges

    cdef raises attach(self, Exchange exchange, fs_event *event) except -1:
        """Takes the exchange that answers the request of this event, which has a head."""

    cdef list exchanges(self):
        """Returns the exchanges that are being read or answered."""
        return []

    cdef bint awaits_step(self) noexcept:
        """Whether the application is about to be called: another turn follows then, so that this one need not send."""
        return False

    cdef raises refuse(self, int error) except -1:
        """Answers a violation of the protocol if possible; then nothing more is taken from the peer."""

    cdef raises refuse_exchange(self, Exchange exchange, int error) except -1:
        """Answers a request whose rest cannot be taken with the error's status."""

    cdef raises response_ended(self, Exchange exchange) except -1:
        """Forgets an exchange: the last byte of its answer is queued, or the answer was broken off."""

    cdef raises lose_all(self) except -1:
        """Tells every exchange that nothing reaches the peer any more, and forgets it."""

    # ---- what an exchange asks, by way of the connection

    cdef bint reads_for(self, Exchange exchange) noexcept:
        """Whether it pays to receive within the step of an application that waits for a body."""
        return False

    cdef bint has_input(self) noexcept:
        """Whether a turn would find bytes to take or a window to open, now that an exchange takes some."""
        return False

    cdef raises body_awaited(self, Exchange exchange) except -1:
        """Called when the application waits for a body: the time of its client runs from now on."""

    cdef raises tunnel_opened(self) except -1:
        """Called when the exchange has accepted an upgrade: from here on it takes bytes instead of events."""

    cdef bint is_full(self, Exchange exchange) except -1:
        """Whether its `send` has to wait. Flushes first, which may end the exchange or the connection: then False."""
        return False

    cdef uint64_t unsent(self, Exchange exchange) noexcept:
        """Returns the bytes of its answer that wait to be sent."""
        return 0

    cdef bint room_is_read(self) noexcept:
        """Whether the peer makes room for an answer by what it sends, as by opening a window."""
        return False

    cdef bint client_left(self, Exchange exchange, bint may_turn) except -1:
        """Looks at the socket outside a turn. Returns whether nobody waits for the answer any more. If that takes a
        turn, there is one only if it `may_turn`."""
        return False

    # ---- bytes out

    cdef int pump(self) except -1:
        """Queues what may leave, up to the high-water mark."""

    cdef raises note_room(self) except -1:
        """Called when the socket has taken bytes: lets exchanges go on that wait for room."""

    # ---- time, and the end

    cdef Phase waits_for(self, uint64_t *since, uint64_t *deadline) noexcept:
        """Returns what the connection waits for when no byte waits to be sent. Sets since when and until when, both
        monotonic ms; a deadline of 0 is none. `since` and the phase tell one wait from another."""
        return PHASE_NONE

    cdef bint awaits_peer(self) noexcept:
        """Whether the deadline is the peer's, not the application's: a peer is excused while the worker stands
        still."""
        return True

    cdef raises expired(self, uint64_t now) except -1:
        """Called when the deadline of `waits_for` has passed. `now`: monotonic ms, without the worker's standstills."""

    cdef raises drain(self) except -1:
        """Called when the worker stops: tells the peer if the protocol can, and sets the deadline anew."""

    cdef bint is_finished(self) except -1:
        """Whether the connection ends at the end of this turn: everything was answered, and nothing more will come."""
        return False

    cdef bint is_complete(self) noexcept:
        """Whether what is queued ends the last answer, and that is whole: a broken one must not look so."""
        return False

    cdef bint must_reset(self) noexcept:
        """Whether a FIN would make a broken answer look whole: then the connection ends by RST."""
        return False

    cdef bint must_linger(self) noexcept:
        """Whether the peer may still be sending: a close would become a reset and overtake the answer (RFC 9112 section
        9.6)."""
        return True


cdef Session ENDED = Session()
