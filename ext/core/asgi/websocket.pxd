# The state of a WebSocket as its application sees it.
cdef enum Stage:
    STAGE_CONNECTING        # it has neither been accepted nor refused
    STAGE_DENIAL            # websocket.http.response.start has come: a body is due
    STAGE_OPEN
    STAGE_ENDING            # websocket.disconnect is due; what the application still sends goes out all the same
    STAGE_ENDED             # a close frame has gone, or the connection, or the answer that refused it


cdef class WebSocketExchange(ASGIExchange):
    cdef fs_ws ws                       # from the acceptance on; `opened` says so
    cdef Stage stage
    cdef bint opened
    cdef object message                 # the oldest that the application has not taken, or None
    cdef list queue                     # those after it; None nearly always
    cdef bint connect_given             # `receive` has given websocket.connect
    cdef bint own_end                   # the application has closed or refused it
    cdef bint paused                    # its queue is full: nothing is read
    cdef int refusal                    # what is wrong with the handshake, or 0
    cdef tuple offered                  # subprotocols
    cdef bytes key                      # Sec-WebSocket-Key, from begin() to the acceptance
    cdef fs_ws_deflate_params deflate   # the parameters that were agreed upon
    cdef object deflate_answer          # the field value that says so; None: no compression
    cdef object denial                  # status and fields of websocket.http.response.start
    cdef int code                       # the code of websocket.disconnect; 0 while there is none
    cdef str reason
    cdef uint64_t bytes_out             # bytes of messages, for the log
    cdef uint64_t ping_at               # monotonic ms: when the next ping is due, 0 for none
    cdef uint64_t pong_by               # when the answer to the last ping is due, 0 for none
    cdef uint64_t close_by              # when the peer's close frame is due, 0 for none
    cdef uint64_t tell_at               # when the application is told that the server stops, 0 for never
    cdef uint32_t ping_number           # the payload of the last ping
    cdef uint32_t message_number        # number (ws.begun) of the message that has begun and is not complete,
    cdef uint32_t message_progress      # and how far it was at message_at
    cdef uint64_t message_since         # monotonic ms at which it began, 0 for none
    cdef uint64_t message_at            # and at which it last made progress

    cdef Py_ssize_t waiting_messages(self) noexcept
    cdef raises read_messages(self) except -1
    cdef raises take_message(self, fs_ws_event *event) except -1
    cdef raises note_end(self, int code, str reason) except -1
    cdef raises leave(self) except -1
    cdef raises failed(self, int error) except -1
    cdef raises close_with(self, int code, str reason) except -1
    cdef raises farewell(self, object exception) except -1
    cdef raises handshake_expired(self) except -1
    cdef raises ping(self) except -1
    cdef raises no_pong(self) except -1
    cdef raises message_late(self) except -1
    cdef uint64_t message_by(self) noexcept
    cdef void time_message(self) noexcept
    cdef raises expect(self, dict event, Stage stage) except -1
    cdef list accept_fields(self, dict event)
    cdef object accept(self, dict event)
    cdef object send_message(self, dict event)
    cdef object send_close(self, dict event)
    cdef object start_denial(self, dict event)
    cdef object send_denial(self, dict event)
    cdef raises refuse(self, int status) except -1
