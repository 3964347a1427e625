#ifndef FS_PROTO_WS_H
#define FS_PROTO_WS_H

#include "base/allocator.h"
#include "base/bucket.h"
#include "budget.h"
#include "limits.h"
#include "stream.h"
#include "ws_deflate.h"

/*
 * The WebSocket machine (RFC 6455, permessage-deflate of RFC 7692), server
 * side, sans I/O: bytes of a tunnel in by feed, messages out by next, messages
 * to the peer in through send, bytes out through an fs_sink. It does not know
 * which protocol carries the tunnel. No socket, no global; the time is passed in.
 *
 * It handles control frames itself: next answers a ping, and a close frame once,
 * and reports only what the caller has to know. Too many frames that carry nothing
 * (control frames, empty fragments) for the messages that come with them are
 * FS_E_WS_FLOOD.
 */

/* The connection's two directions; ws.c makes all transitions. */
typedef enum fs_ws_state {
    FS_WS_OPEN,
    FS_WS_CLOSING,      /* our close frame has gone, the peer's has not come: data is read and discarded */
    FS_WS_CLOSED        /* both have gone, or ours after an error: whatever comes is ignored */
} fs_ws_state;

typedef enum fs_ws_event_kind {
    FS_WS_NONE = 0,     /* more bytes are needed, or the connection is closed */
    FS_WS_MESSAGE,
    FS_WS_PONG,         /* data: its payload */
    FS_WS_CLOSE         /* the peer's close frame: code and reason; once. 1005 if it gave no code */
} fs_ws_event_kind;

/*
 * Slices are borrowed until the next feed, next or settle. A MESSAGE whose
 * `buffer` is not NULL is in memory of shared->messages, which is now the
 * receiver's: it begins at data.p and is returned by release (or, in ext/core, is
 * already a bytes object). A binary one that is not in a buffer may still be
 * masked: fs_ws_unmask(where, data.p, data.n, mask) reads it. A text is unmasked
 * and valid UTF-8.
 */
typedef struct fs_ws_event {
    fs_ws_event_kind kind;
    fs_slice data;
    char *buffer;
    uint32_t mask;          /* in its byte order in memory; 0: not masked */
    uint8_t text;           /* MESSAGE: text and not binary */
    uint16_t code;          /* CLOSE */
} fs_ws_event;

/* What the connections of a worker share. */
typedef struct fs_ws_shared {
    const fs_limits *limits;       /* borrowed: ws_max_size, ws_deflate_min_size */
    const fs_allocator *allocator; /* borrowed: for everything but messages */
    const fs_allocator *messages;  /* borrowed: for a message that does not arrive whole, or was compressed */
    fs_budget *memory;             /* borrowed: for what is held of messages and to inflate them; NULL: unlimited */
} fs_ws_shared;

typedef struct fs_ws {
    fs_ws_shared *shared;
    fs_sink *sink;
    fs_ws_deflate *deflate; /* NULL: not negotiated */
    char *input;            /* unread bytes: in the caller's memory until settle, then in `store` */
    size_t input_len;
    char *store;            /* NULL nearly always: a whole input is read in its turn */
    size_t store_size;
    fs_ws_buffer message;   /* of shared->messages: the message that is being assembled */
    uint64_t payload_left;  /* of the frame being read */
    uint64_t now;           /* of the last feed, */
    uint64_t paid;          /* up to when tokens were credited */
    uint32_t tokens;        /* thousandths of a frame that carries nothing; ws.c's */
    uint32_t begun;         /* messages that have begun */
    uint32_t progress;      /* changes whenever a frame of a message has made progress */
    uint32_t mask;          /* of that frame, turned to its next byte */
    uint32_t flags;         /* FS_WS_* of ws.c */
    uint32_t utf8;          /* fs_utf8's state in a fragmented text */
    int error;              /* what failed the connection; 0 */
    uint8_t state;          /* fs_ws_state */
    uint8_t head_len;       /* bytes of `head` */
    uint8_t opcode;         /* of the message being assembled */
    uint8_t control_len;
    uint16_t close_sent;    /* the code of our close frame, 0 before */
    uint8_t head[14];       /* of a frame, as far as read */
    char *control;          /* NULL nearly always: payload of a control frame, until the next one begins */
} fs_ws;

_Static_assert(sizeof(fs_ws) <= 176, "thousands of idle connections are what WebSocket is for");

/* `sink` is borrowed for the connection's life. `deflate`: what was negotiated, or NULL. FS_OK or FS_E_NOMEM. */
int fs_ws_init(fs_ws *ws, fs_ws_shared *shared, fs_sink *sink, const fs_ws_deflate_params *deflate);
void fs_ws_free(fs_ws *ws);

/*
 * Takes bytes of the tunnel. They are borrowed until settle, and written to:
 * payload is unmasked in place. Bytes that an earlier turn left come first. `now`:
 * milliseconds of any clock. FS_OK, FS_E_NOMEM or FS_E_NO_ROOM, as by next.
 */
int fs_ws_feed(fs_ws *ws, char *p, size_t n, uint64_t now);

/*
 * The next event. A negative result is the peer's fault (FS_E_WS_*), FS_E_NOMEM or
 * FS_E_NO_ROOM: the close frame that says so (fs_error_info.close_code) was queued
 * unless one had gone before, and the state is FS_WS_CLOSED.
 */
int fs_ws_next(fs_ws *ws, fs_ws_event *event);

/* The end of a turn: copies what was fed and not read. FS_OK, FS_E_NOMEM or FS_E_NO_ROOM, as by next. */
int fs_ws_settle(fs_ws *ws);

/* Ends the connection for `error`, as next does for an error that it finds. Returns `error`. */
int fs_ws_fail(fs_ws *ws, int error);

/* Whether a message, or a frame of any kind, has begun and is not complete. */
int fs_ws_unfinished(const fs_ws *ws);

/* Bytes that were fed and not read. */
static inline size_t fs_ws_unread(const fs_ws *ws) { return ws->input_len; }

/*
 * Sends one whole message. `owner` keeps p alive; NULL: the bytes must be copied.
 * A text is UTF-8 and not checked again. Compressed if that was negotiated and n is
 * at least ws_deflate_min_size. FS_OK; FS_E_APP_ORDER after a close frame in either
 * direction; FS_E_NOMEM.
 */
int fs_ws_send(fs_ws *ws, int text, const char *p, size_t n, void *owner);

/* n <= 125. Does nothing once a close frame of ours has gone. FS_OK or FS_E_NOMEM. */
int fs_ws_ping(fs_ws *ws, const char *p, size_t n);

/*
 * Begins the close handshake, once: later calls do nothing. `code` may be sent
 * (fs_ws_code_is_valid), or is 0 for an empty close frame; `reason` is UTF-8 of at
 * most 123 bytes. Otherwise FS_E_APP_CLOSE, with nothing queued.
 */
int fs_ws_close(fs_ws *ws, int code, const char *reason, size_t n);

/* Whether a close frame may have this code: RFC 6455 section 7.4, IANA's registry (1000-1003, 1007-1014, 3000-4999). */
int fs_ws_code_is_valid(int code);

/* Copies n bytes and unmasks them with `mask`, in memory order. dst == src is allowed, other overlap is not. */
void fs_ws_unmask(char *dst, const char *src, size_t n, uint32_t mask);

#endif
