# The object layouts of fastserve._core, with the methods that other parts of the module call: each part has a .pxd
# beside it. A part is one idea; _core.pyx includes them.
#
# Ownership: Driver -> (slots) -> Connection -> (exchange) -> Exchange is a chain of strong references. The way back is
# `Exchange.connection`, cut when either ends. What outlives its owner (an application that keeps `send`) holds an
# Exchange whose connection is None: it raises or does nothing, and never reaches freed memory.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.ref cimport PyObject

from base cimport fs_bucket, fs_ip, fs_slice
from net cimport (FS_POLL_BATCH, fs_address, fs_handover, fs_log_file, fs_outpool, fs_outqueue, fs_poller, fs_ready, fs_relay, fs_timer, fs_wheel)
from proto cimport (fs_budget, fs_event, fs_field, fs_forwarded, fs_trusted, fs_h1, fs_h1_shared, fs_head_common, fs_limits, fs_proxy_header, fs_request_head, fs_sink,
                    fs_body_queue, fs_h2, fs_h2_shared, fs_h2_stream, fs_stream, fs_ws, fs_ws_deflate_params, fs_ws_event,
                    fs_ws_shared)
from fastserve._task cimport InlineRunner, Task


ctypedef int raises     # 0, or -1 with an exception set: the result of a function that returns no value


cdef extern from "status.h":
    enum:
        FS_STATUS_COUNT
        FS_STATUS_ALL_ROWS
    const char *fs_status_names[]

    ctypedef struct fs_status_row:
        pass

    ctypedef struct fs_status:
        uint64_t heartbeat
        uint64_t turns
        uint64_t connections_total
        uint64_t connections
        uint64_t requests_total
        uint64_t in_flight
        uint64_t running
        uint64_t buffered
        uint64_t body_files
        uint64_t no_room
        uint64_t never_fits
        uint64_t threads_overdue_since
        uint64_t queued
        uint64_t queued_since
        uint64_t queue_timeouts
        uint64_t bytes_in
        uint64_t bytes_out
        uint64_t overloaded
        uint64_t accept_errors
        uint64_t access_log_dropped
        uint64_t peer_errors
        uint64_t application_errors
        uint64_t websockets_total
        uint64_t websockets
        uint64_t websocket_messages_in
        uint64_t websocket_messages_out
        uint64_t websocket_bytes_in
        uint64_t websocket_bytes_out
        uint64_t tls_handshakes
        uint64_t http2_connections
        uint64_t http2_resets
        uint64_t mailbox
        uint64_t handed_over
        uint64_t taken_over
        uint64_t errors[512]

    void fs_status_init(fs_status *status)
    void fs_status_count_response(fs_status *status, int code)
    void fs_status_count_close(fs_status *status, int code)
    void fs_status_count_durations(fs_status *status, uint64_t us, uint64_t n)
    fs_status_row *fs_status_begin_row(fs_status *status, uint64_t *free_rows, uint64_t now_ms, fs_slice method,
                                       fs_slice target)
    void fs_status_end_row(fs_status *status, uint64_t *free_rows, fs_status_row *row)


include "shared/pieces.pxd"
include "shared/head_caches.pxd"
include "shared/access_log.pxd"
include "shared/tls.pxd"

include "kernel/interface.pxd"
include "kernel/exchange.pxd"
include "kernel/receipts.pxd"
include "kernel/session.pxd"
include "kernel/h1_session.pxd"
include "kernel/h2_session.pxd"
include "kernel/sibling.pxd"
include "kernel/forwarding.pxd"
include "kernel/descriptors.pxd"
include "kernel/listening.pxd"
include "kernel/refusals.pxd"
include "kernel/connection.pxd"
include "kernel/driver.pxd"

include "asgi/scope.pxd"
include "asgi/application.pxd"
include "asgi/exchange.pxd"
include "asgi/callables.pxd"
include "asgi/http.pxd"
include "asgi/websocket.pxd"
include "asgi/interface.pxd"

include "wsgi/environ.pxd"
include "wsgi/body_store.pxd"
include "wsgi/file_wrapper.pxd"
include "wsgi/threads.pxd"
include "wsgi/application.pxd"
include "wsgi/exchange.pxd"
include "wsgi/interface.pxd"
