# What ext/core uses of ext/proto. The contracts are in the headers.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from base cimport fs_allocator, fs_ip, fs_slice


cdef extern from "proto/field.h" nogil:
    ctypedef struct fs_field:
        const char *name
        const char *value
        uint32_t name_len
        uint32_t value_len
        uint32_t id


cdef extern from "proto/error.h" nogil:
    enum:
        FS_OK
        FS_E_BODY_CUT
        FS_E_TIMEOUT
        FS_E_OVERLOADED
        FS_E_WS_PING_TIMEOUT
        FS_E_WS_MESSAGE_TIMEOUT
        FS_E_PEER_GONE
        FS_E_PEER_STALLED
        FS_E_PROXY_HEADER
        FS_E_PLAIN_HTTP
        FS_E_H2_MALFORMED
        FS_E_NO_ROOM
        FS_E_NEVER_FITS
        FS_E_QUEUE_TIMEOUT
        FS_E_TLS
        FS_E_VERSION
        FS_E_H2_CONNECTION
        FS_E_H2_FLOOD
        FS_E_H2_PING_TIMEOUT
        FS_E_APP_STATUS
        FS_E_APP_FIELD_NAME
        FS_E_APP_FIELD_VALUE
        FS_E_APP_LENGTH
        FS_E_APP_BODY_TOO_LONG
        FS_E_APP_BODY_TOO_SHORT
        FS_E_APP_ORDER
        FS_E_APP_RAISED
        FS_E_APP_NO_RESPONSE
        FS_E_APP_TRAILER
        FS_E_APP_FILE
        FS_E_APP_TIMEOUT
        FS_E_NOMEM
        FS_E_INTERNAL
        FS_E_STORAGE
        FS_E_STOPPED

    ctypedef struct fs_error_info:
        int code
        const char *name
        int status
        int close_code
        const char *text

    const fs_error_info *fs_error_describe(int code)
    const fs_error_info *fs_error_table(unsigned *count)
    int fs_error_is_message(int e)
    int fs_error_is_peer(int e)
    int fs_error_is_application(int e)


cdef extern from "proto/limits.h" nogil:
    ctypedef struct fs_limits:      # those that the core itself reads
        uint32_t max_fields
        uint32_t max_pipelined
        uint32_t max_concurrency
        uint32_t max_queue
        uint32_t high_water
        uint32_t low_water
        uint32_t body_high_water
        uint64_t body_buffer
        uint64_t buffered
        uint64_t body_files
        uint32_t ws_max_queue
        uint32_t timeout_first_byte
        uint32_t timeout_head
        uint32_t timeout_keep_alive
        uint32_t timeout_body
        uint32_t timeout_write
        uint32_t timeout_linger
        uint32_t timeout_discard
        uint32_t timeout_request
        uint32_t timeout_response_idle
        uint32_t timeout_response
        uint32_t timeout_queue
        uint32_t timeout_client_gone
        uint32_t timeout_threads
        uint32_t timeout_ws_handshake
        uint32_t timeout_ws_close
        uint32_t timeout_ws_ping
        uint32_t timeout_ws_pong
        uint32_t timeout_ws_message
        uint32_t timeout_tls_handshake
        uint32_t timeout_h2_ping
        uint32_t timeout_h2_pong

    enum:
        FS_MAX_FIELDS_CEILING
        FS_LIMIT_COUNT
        FS_LIMIT_UNKNOWN
        FS_LIMIT_TOO_LARGE
    void fs_limits_default(fs_limits *limits)
    const char *fs_limits_name(unsigned number)
    uint64_t fs_limits_get(const fs_limits *limits, unsigned number)
    int fs_limits_set(fs_limits *limits, const char *name, size_t n, uint64_t value)


cdef extern from "proto/budget.h" nogil:
    enum: FS_BUDGET_OBJECT

    ctypedef struct fs_budget:
        uint64_t used
        uint64_t most

    bint fs_budget_is_tight(const fs_budget *budget)
    bint fs_budget_has(const fs_budget *budget, uint64_t n)
    int fs_budget_take(fs_budget *budget, uint64_t n)
    void fs_budget_force(fs_budget *budget, uint64_t n)
    void fs_budget_give(fs_budget *budget, uint64_t n)


cdef extern from "proto/fields.h" nogil:
    enum:
        FS_FIELD_UNKNOWN
        FS_FIELD_COOKIE
        FS_FIELD_AUTHORIZATION
        FS_FIELD_PROXY_AUTHORIZATION
        FS_FIELD_CONTENT_LENGTH
        FS_FIELD_CONTENT_TYPE
        FS_FIELD_TRANSFER_ENCODING
        FS_FIELD_CONNECTION
        FS_FIELD_KEEP_ALIVE
        FS_FIELD_PROXY_CONNECTION
        FS_FIELD_TE
        FS_FIELD_TRAILER
        FS_FIELD_UPGRADE
        FS_FIELD_HOST
    unsigned fs_field_count()
    const char *fs_field_name(uint32_t id, size_t *length)
    uint32_t fs_field_find(const char *name, size_t length)


cdef extern from "proto/trusted.h" nogil:
    ctypedef struct fs_trusted:
        bint everybody
        bint unix_peers

    void fs_trusted_init(fs_trusted *trusted, const fs_allocator *allocator)
    void fs_trusted_free(fs_trusted *trusted)
    int fs_trusted_add(fs_trusted *trusted, const char *peer, size_t n)
    void fs_trusted_sort(fs_trusted *trusted)
    bint fs_trusted_has(const fs_trusted *trusted, const fs_ip *ip)


cdef extern from "proto/forwarded.h" nogil:
    ctypedef enum fs_forwarded_scheme:
        FS_FORWARDED_NO_SCHEME
        FS_FORWARDED_HTTP
        FS_FORWARDED_HTTPS

    ctypedef struct fs_forwarded:
        fs_ip client
        uint16_t port
        bint has_client
        fs_forwarded_scheme scheme
        fs_slice host

    void fs_forwarded_read(const fs_trusted *trusted, const fs_field *fields, uint32_t n, fs_forwarded *said)


cdef extern from "proto/response_fields.h" nogil:
    int fs_check_field(const fs_field *field, uint32_t *id)


cdef extern from "proto/list.h" nogil:
    bint fs_list_has(const char *list, size_t n, const char *member)


cdef extern from "proto/stream.h" nogil:
    enum: FS_SHARE_MIN

    ctypedef struct fs_sink:
        char *(*reserve)(fs_sink *sink, size_t n) noexcept
        void (*commit)(fs_sink *sink, size_t n) noexcept
        int (*share)(fs_sink *sink, const char *p, size_t n, void *owner) noexcept
        int (*file)(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner) noexcept

    ctypedef enum fs_event_kind:
        FS_EVENT_NONE
        FS_EVENT_HEAD
        FS_EVENT_BODY
        FS_EVENT_END
        FS_EVENT_RESET
        FS_EVENT_DATA

    enum:
        FS_HEAD_END
        FS_HEAD_EXPECT_CONTINUE
        FS_HEAD_UPGRADE_WEBSOCKET
        FS_HEAD_TE_TRAILERS
        FS_HEAD_ESCAPED
        FS_HEAD_FORWARDED
        FS_HEAD_UNDERSCORES

    ctypedef enum fs_version:
        FS_HTTP_1_0
        FS_HTTP_1_1
        FS_HTTP_2

    ctypedef struct fs_request_head:
        fs_slice method
        fs_slice target
        fs_slice path
        fs_slice query
        const fs_field *fields
        uint32_t nfields
        fs_version version
        uint32_t flags
        int64_t content_length

    ctypedef struct fs_event:
        fs_event_kind kind
        int end
        int error
        fs_stream *stream
        fs_request_head head
        fs_slice data

    enum:
        FS_RESPONSE_TRAILERS
        FS_RESPONSE_END

    ctypedef struct fs_response_head:
        int status
        fs_slice reason
        const fs_field *fields
        uint32_t nfields
        uint32_t flags
        uint64_t length

    ctypedef struct fs_stream_ops:
        int (*proceed)(fs_stream *s)
        int (*informational)(fs_stream *s, int status, const fs_field *fields, uint32_t n)
        int (*head)(fs_stream *s, const fs_response_head *head)
        int (*body)(fs_stream *s, const char *p, size_t n, void *owner, int end)
        int (*file)(fs_stream *s, int fd, int64_t offset, uint64_t n, void *owner, int end)
        int (*trailers)(fs_stream *s, const fs_field *fields, uint32_t n, int end)
        void (*abort)(fs_stream *s, int error)
        void (*consumed)(fs_stream *s, size_t n)
        int (*upgrade)(fs_stream *s, const fs_field *fields, uint32_t n, fs_sink **tunnel)

    ctypedef struct fs_stream:
        const fs_stream_ops *ops
        void *exchange
        uint8_t head_sent
        uint8_t ended
        uint8_t trailers_pending
        uint8_t bodiless
        uint16_t status
        uint64_t body_sent


cdef extern from "proto/head.h" nogil:
    ctypedef struct fs_head_common:
        const char *server
        size_t server_len
        const char *extra
        size_t extra_len
        size_t own_date_len

    void fs_head_common_init(fs_head_common *common, int date_on)
    void fs_head_set_time(fs_head_common *common, int64_t unix_seconds)
    int fs_is_token(const char *p, size_t n)
    int fs_is_field_value(const char *p, size_t n)
    size_t fs_decimal(char *out, uint64_t n)
    fs_slice fs_reason_phrase(int status)


cdef extern from "proto/proxy_header.h" nogil:
    enum:
        FS_PROXY_NONE
        FS_PROXY_INET
        FS_PROXY_INET6
        FS_PROXY_UNIX

    ctypedef struct fs_proxy_end:
        uint8_t ip[16]
        uint16_t port

    ctypedef struct fs_proxy_header:
        int family
        fs_proxy_end source
        fs_proxy_end destination
        fs_slice path

    int fs_proxy_header_parse(const char *p, size_t n, fs_proxy_header *header)


cdef extern from "proto/h1.h" nogil:
    enum:
        FS_H1_READ_IDLE
        FS_H1_READ_HEAD
        FS_H1_READ_BODY
        FS_H1_READ_DONE
        FS_H1_READ_SKIP
        FS_H1_READ_TUNNEL
        FS_H1_READ_DISCARD

    ctypedef struct fs_h1_shared:
        fs_budget *memory
        int draining

    int fs_h1_shared_init(fs_h1_shared *shared, const fs_limits *limits,
                          const fs_allocator *allocator, fs_head_common *common)
    void fs_h1_shared_free(fs_h1_shared *shared)

    ctypedef struct fs_h1:
        fs_stream stream
        uint64_t requests
        uint8_t reading
        uint8_t writing
        uint8_t keep

    void fs_h1_init(fs_h1 *h1, fs_h1_shared *shared, fs_sink *sink)
    void fs_h1_free(fs_h1 *h1)
    int fs_h1_feed(fs_h1 *h1, char *p, size_t n)
    int fs_h1_next(fs_h1 *h1, fs_event *event)
    int fs_h1_eof(fs_h1 *h1)
    int fs_h1_settle(fs_h1 *h1)
    int fs_h1_refuse(fs_h1 *h1, int error)
    size_t fs_h1_unread(const fs_h1 *h1)
    int fs_h1_busy(const fs_h1 *h1)
    int fs_h1_must_close(const fs_h1 *h1)
    int fs_h1_must_reset(const fs_h1 *h1)
    int fs_h1_must_linger(const fs_h1 *h1)
    uint64_t fs_h1_body_wanted(const fs_h1 *h1)
    int fs_h1_body_direct(fs_h1 *h1, size_t n, int *end)


cdef extern from "proto/ws_deflate.h" nogil:
    const int fs_ws_deflate_available

    ctypedef struct fs_ws_deflate_params:
        pass


cdef extern from "proto/ws_handshake.h" nogil:
    ctypedef struct fs_ws_handshake:
        fs_slice key
        int has_deflate
        fs_ws_deflate_params deflate
        char *extensions

    int fs_ws_handshake_read(const fs_request_head *head, int deflate, fs_ws_handshake *found)


cdef extern from "proto/ws.h" nogil:
    enum:
        FS_WS_NONE
        FS_WS_MESSAGE
        FS_WS_PONG
        FS_WS_CLOSE

    ctypedef struct fs_ws_event:
        int kind
        fs_slice data
        char *buffer
        uint32_t mask
        uint8_t text
        uint16_t code

    ctypedef struct fs_ws_shared:
        const fs_limits *limits
        const fs_allocator *allocator
        const fs_allocator *messages
        fs_budget *memory

    ctypedef struct fs_ws:
        uint32_t begun
        uint32_t progress

    int fs_ws_init(fs_ws *ws, fs_ws_shared *shared, fs_sink *sink, const fs_ws_deflate_params *deflate)
    void fs_ws_free(fs_ws *ws)
    int fs_ws_feed(fs_ws *ws, char *p, size_t n, uint64_t now)
    int fs_ws_next(fs_ws *ws, fs_ws_event *event)
    int fs_ws_settle(fs_ws *ws)
    int fs_ws_fail(fs_ws *ws, int error)
    bint fs_ws_unfinished(const fs_ws *ws)
    size_t fs_ws_unread(const fs_ws *ws)
    int fs_ws_send(fs_ws *ws, int text, const char *p, size_t n, void *owner)
    int fs_ws_ping(fs_ws *ws, const char *p, size_t n)
    int fs_ws_close(fs_ws *ws, int code, const char *reason, size_t n)
    int fs_ws_code_is_valid(int code)
    void fs_ws_unmask(char *dst, const char *src, size_t n, uint32_t mask)


cdef extern from "proto/h2.h" nogil:
    const int fs_h2_available

    enum:
        FS_H2_PREFACE_LEN
        FS_H2_FULL
        FS_H2_WRITE_TUNNEL
    const char *FS_H2_PREFACE

    ctypedef struct fs_body_queue:
        fs_sink sink
        uint64_t (*size)(const fs_body_queue *body) noexcept
        int (*move)(fs_body_queue *body, fs_sink *to, size_t n) noexcept
        void (*clear)(fs_body_queue *body) noexcept

    ctypedef struct fs_h2_stream:
        fs_stream stream
        fs_h2_stream *next
        fs_body_queue *body
        uint32_t flags
        int writing
        uint64_t progress
        uint64_t sent_at
        size_t unconsumed
        void *receipt
        uint64_t dropped

    ctypedef struct fs_h2_shared:
        size_t body_size
        void (*open_body)(void *ctx, fs_body_queue *body) noexcept
        void *ctx
        fs_budget *memory
        int tunnels

    ctypedef struct fs_h2:
        void *session
        fs_h2_stream *streams
        uint64_t received_at
        uint64_t framed_at
        uint64_t framed
        uint32_t open
        uint32_t tunnels
        uint32_t requests
        int error
        uint8_t pinged
        uint8_t draining

    int fs_h2_shared_init(fs_h2_shared *shared, const fs_limits *limits, const fs_allocator *allocator,
                          fs_head_common *common)
    void fs_h2_shared_free(fs_h2_shared *shared)
    int fs_h2_init(fs_h2 *h2, fs_h2_shared *shared, fs_sink *sink, uint64_t now)
    void fs_h2_free(fs_h2 *h2)
    int fs_h2_feed(fs_h2 *h2, char *p, size_t n, uint64_t now)
    int fs_h2_next(fs_h2 *h2, fs_event *event)
    int fs_h2_pump(fs_h2 *h2, uint64_t room, uint64_t now)
    int fs_h2_wants_pump(const fs_h2 *h2)
    uint64_t fs_h2_incomplete_since(const fs_h2 *h2)
    void fs_h2_fail(fs_h2 *h2, int error)
    int fs_h2_has_events(const fs_h2 *h2)
    int fs_h2_settle(fs_h2 *h2)
    size_t fs_h2_unread(const fs_h2 *h2)
    void fs_h2_refuse(fs_h2_stream *stream, int error)
    void fs_h2_reset(fs_h2_stream *stream, int error)
    int fs_h2_drain(fs_h2 *h2, int final)
    bint fs_h2_is_broken_off(const fs_h2_stream *stream)
    bint fs_h2_is_framed(const fs_h2_stream *stream)
    int fs_h2_ping(fs_h2 *h2)
    int fs_h2_must_close(const fs_h2 *h2)


cdef extern from "llhttp.h" nogil:
    enum:
        LLHTTP_VERSION_MAJOR
        LLHTTP_VERSION_MINOR
        LLHTTP_VERSION_PATCH
