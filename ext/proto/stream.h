#ifndef FS_PROTO_STREAM_H
#define FS_PROTO_STREAM_H

#include "base/slice.h"
#include "error.h"
#include "field.h"

#include <stdint.h>

/*
 * The one seam between a protocol and an interface. A protocol (HTTP/1.1,
 * HTTP/2) gives events and takes a response through fs_stream; it knows
 * neither ASGI nor WSGI. An exchange (ASGI, WSGI, WebSocket) sees nothing else
 * of the protocol. HTTP/1 has one stream a connection, HTTP/2 many.
 *
 * Bytes to be sent go to an fs_sink, which ext/core lays over the out-queue of
 * ext/net: the two C rooms do not know each other.
 */

typedef struct fs_stream fs_stream;
typedef struct fs_sink fs_sink;

/* ---- what goes out: the sink ------------------------------------------ */

struct fs_sink {
    /*
     * Room for at least n bytes at the tail, or NULL when out of memory.
     * Valid until the next call on the sink; commit(m <= n) says how many
     * were written. A reserve without commit changes nothing.
     */
    char *(*reserve)(fs_sink *sink, size_t n);
    void (*commit)(fs_sink *sink, size_t n);
    /*
     * Queues bytes without copying them. The sink takes its own reference of
     * `owner` (never NULL here) and drops it when the bytes have left or the
     * connection is gone. FS_OK or FS_E_NOMEM.
     */
    int (*share)(fs_sink *sink, const char *p, size_t n, void *owner);
    /*
     * Queues n bytes of the file from `offset`. The descriptor belongs to
     * `owner` (may be NULL: the caller then keeps fd open until the sink is
     * empty), referenced as in share().
     */
    int (*file)(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner);
};

/* Body pieces of at least this size are shared, smaller ones copied: below it
 * one more iovec costs more than the copy. */
#define FS_SHARE_MIN 8192

/* ---- what comes in: events --------------------------------------------- */

typedef enum fs_event_kind {
    FS_EVENT_NONE = 0,
    FS_EVENT_HEAD,      /* event.head */
    FS_EVENT_BODY,      /* event.data, never empty; event.end when it is the last */
    FS_EVENT_END,       /* the message is complete; event.trailers */
    FS_EVENT_RESET,     /* event.error: this stream is gone, others may live */
    FS_EVENT_DATA       /* event.data: bytes of a tunnel, after an upgrade */
} fs_event_kind;

enum {
    FS_HEAD_END = 1 << 0,              /* no body follows; no FS_EVENT_END either */
    FS_HEAD_EXPECT_CONTINUE = 1 << 1,  /* call ops->proceed before the body is awaited */
    FS_HEAD_UPGRADE_WEBSOCKET = 1 << 2,/* Connection: upgrade and Upgrade: websocket */
    FS_HEAD_TE_TRAILERS = 1 << 3,      /* TE: trailers */
    FS_HEAD_ESCAPED = 1 << 4,          /* the path holds a percent sign or a byte above 0x7f */
    FS_HEAD_FORWARDED = 1 << 5,        /* has an X-Forwarded-* or Forwarded field */
    FS_HEAD_UNDERSCORES = 1 << 6       /* has a field with an underscore in its name, which CGI takes for a dash */
};

typedef enum fs_version {
    FS_HTTP_1_0 = 10,
    FS_HTTP_1_1 = 11,
    FS_HTTP_2 = 20
} fs_version;

/* Borrowed until the next feed or next of the protocol. */
typedef struct fs_request_head {
    fs_slice method;
    fs_slice target;               /* as sent */
    fs_slice path;                 /* without scheme, authority and query; "/" if that is empty; "*" */
    fs_slice query;                /* without the question mark */
    const fs_field *fields;        /* Host comes from an absolute target if there is one */
    uint32_t nfields;
    fs_version version;
    uint32_t flags;                /* FS_HEAD_* */
    int64_t content_length;        /* -1: not given (chunked, or no body) */
} fs_request_head;

typedef struct fs_event {
    fs_event_kind kind;
    int end;                       /* BODY: this was the last piece and the message is complete; no END follows */
    int error;                     /* RESET */
    fs_stream *stream;
    fs_request_head head;          /* HEAD */
    fs_slice data;                 /* BODY, DATA: borrowed until the next feed or next */
    const fs_field *trailers;      /* END: borrowed likewise, forbidden ones already dropped */
    uint32_t ntrailers;
} fs_event;

/* ---- what goes out: the response --------------------------------------- */

enum {
    FS_RESPONSE_TRAILERS = 1 << 0,     /* the application announced trailers */
    FS_RESPONSE_END = 1 << 1           /* the whole body comes with the head: its length is known */
};

/* Everything is borrowed for the call only. */
typedef struct fs_response_head {
    int status;                        /* 200..999 for a final one */
    fs_slice reason;                   /* n == 0: the registered phrase */
    const fs_field *fields;            /* names in any case; id may be 0, then it is looked up */
    uint32_t nfields;
    uint32_t flags;                    /* FS_RESPONSE_* */
    uint64_t length;                   /* with FS_RESPONSE_END: bytes of the whole body */
} fs_response_head;

typedef struct fs_stream_ops {
    /*
     * Sends 100 (Continue) if the peer waits for it and nothing was answered
     * yet; otherwise does nothing. FS_OK or FS_E_NOMEM.
     */
    int (*proceed)(fs_stream *s);
    /* A 1xx response (103). Dropped silently for HTTP/1.0. */
    int (*informational)(fs_stream *s, int status, const fs_field *fields, uint32_t n);
    /*
     * The final head. Validates everything before a byte is queued: on an
     * FS_E_APP_* error nothing has been sent and another head may follow.
     * Hop-by-hop fields of the application are dropped, but for
     * `Connection: close`, which is obeyed.
     */
    int (*head)(fs_stream *s, const fs_response_head *head);
    /*
     * A piece of the body. `owner` is the object that keeps p alive, NULL
     * when the bytes must be copied. `end`: nothing but trailers() follows.
     * FS_E_APP_BODY_TOO_LONG: what fits the announced length was queued, the
     * rest cut, the connection will close. FS_E_APP_BODY_TOO_SHORT: end came
     * early, the connection will close. Bodies of HEAD, 204, 205 and 304 are
     * swallowed.
     */
    int (*body)(fs_stream *s, const char *p, size_t n, void *owner, int end);
    int (*file)(fs_stream *s, int fd, int64_t offset, uint64_t n, void *owner, int end);
    /*
     * After the last body piece when FS_RESPONSE_TRAILERS was set in head()
     * and fs_stream.trailers_pending is set; may be called with n == 0. Ends
     * the response when `end`.
     */
    int (*trailers)(fs_stream *s, const fs_field *fields, uint32_t n, int end);
    /*
     * Ends the response, visibly broken if its head has gone (no last chunk, a
     * short body, RST_STREAM). What was queued still leaves. Also ends a tunnel
     * that has finished, with FS_OK.
     */
    void (*abort)(fs_stream *s, int error);
    /* n bytes of the request body have been taken by the application (flow control). */
    void (*consumed)(fs_stream *s, size_t n);
    /*
     * After FS_HEAD_UPGRADE_WEBSOCKET, instead of head(): accepts with these
     * fields and turns the stream into a tunnel. From here on FS_EVENT_DATA
     * brings its bytes, and output is written to *tunnel, which is the protocol's
     * and lives as long as the stream. FS_E_APP_* with nothing sent, or FS_E_NOMEM.
     */
    int (*upgrade)(fs_stream *s, const fs_field *fields, uint32_t n, fs_sink **tunnel);
} fs_stream_ops;

struct fs_stream {
    const fs_stream_ops *ops;
    void *exchange;                    /* ext/core's, borrowed; NULL when none is attached */
    uint8_t head_sent;                 /* a final head has been queued */
    uint8_t ended;                     /* the response is complete or aborted */
    uint8_t trailers_pending;          /* body has ended, trailers() must still be called */
    uint8_t bodiless;                  /* HEAD, 204, 205, 304: body bytes are swallowed */
    uint16_t status;                   /* of the final head; 0 before */
    uint64_t body_sent;                /* body bytes queued, without framing */
};

#endif
