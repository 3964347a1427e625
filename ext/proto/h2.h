#ifndef FS_PROTO_H2_H
#define FS_PROTO_H2_H

#include "base/allocator.h"
#include "base/bucket.h"
#include "budget.h"
#include "head.h"
#include "limits.h"
#include "stream.h"

/*
 * The HTTP/2 connection machine (RFC 9113), server side, over nghttp2, sans
 * I/O: bytes in by feed, events out by next, responses in through fs_stream,
 * bytes out by pump. No socket; the time is passed in.
 *
 * nghttp2 is fed one frame at a time, so that its callbacks leave at most one
 * event of each kind and no other events have to be kept.
 *
 * A turn is: feed, next until FS_EVENT_NONE or an error, responses, pump,
 * settle.
 */

/* Whether this build has nghttp2; without it h2_absent.c replaces the machine, and fs_h2_init fails. */
extern const int fs_h2_available;

struct nghttp2_session;
struct nghttp2_option;
struct nghttp2_session_callbacks;

typedef struct fs_h2 fs_h2;
typedef struct fs_h2_stream fs_h2_stream;
typedef struct fs_h2_arena fs_h2_arena;      /* h2_head.c's: the fields of one field section */

/*
 * Where the body of an answer waits for the stream's windows: a sink from which
 * bytes can be taken. One for each stream, which ext/core lays over an out-queue.
 */
typedef struct fs_body_queue fs_body_queue;
struct fs_body_queue {
    fs_sink sink;                            /* first: what a tunnel writes to */
    uint64_t (*size)(const fs_body_queue *body);
    /* The first n <= size bytes go to the tail of `to`. FS_OK or FS_E_NOMEM. */
    int (*move)(fs_body_queue *body, fs_sink *to, size_t n);
    void (*clear)(fs_body_queue *body);
};

/* Both halves of a stream; h2_state.c makes their transitions. */
typedef enum fs_h2_reading {
    FS_H2_READ_HEAD,
    FS_H2_READ_BODY,
    FS_H2_READ_TUNNEL,
    FS_H2_READ_DONE,          /* END_STREAM has come */
    FS_H2_READ_DISCARD        /* whatever still comes is discarded */
} fs_h2_reading;

typedef enum fs_h2_writing {
    FS_H2_WRITE_HEAD,         /* the answer's head is due */
    FS_H2_WRITE_BODY,
    FS_H2_WRITE_NO_BODY,      /* HEAD, 204, 205, 304: pieces are swallowed */
    FS_H2_WRITE_TRAILERS,
    FS_H2_WRITE_TUNNEL,
    FS_H2_WRITE_DONE          /* the whole answer was given; some may wait for the windows */
} fs_h2_writing;

/* Facts besides the two machines: fs_h2_stream.flags. */
enum {
    FS_H2_HAS_HEAD = 1 << 0,       /* events that next() has to tell */
    FS_H2_HAS_END = 1 << 1,
    FS_H2_HAS_RESET = 1 << 2,
    FS_H2_READY = 1 << 3,          /* is in the ready queue */
    FS_H2_CLOSED = 1 << 4,         /* gone from nghttp2: freed by settle, once no exchange is attached */
    FS_H2_PEER_RESET = 1 << 5,     /* RST_STREAM has come */
    FS_H2_ABORTED = 1 << 6,        /* we have broken it off for a fault that is not the peer's */
    FS_H2_IS_HEAD = 1 << 7,        /* the method */
    FS_H2_EXPECTS = 1 << 8,        /* the peer waits for 100 (Continue), which was not sent yet */
    FS_H2_WEBSOCKET = 1 << 9,      /* may become a tunnel (RFC 8441) */
    FS_H2_TRAILERS_DUE = 1 << 10,  /* trailers() follows the body */
    FS_H2_ALL_GIVEN = 1 << 11,     /* the queue holds the whole rest of the body */
    FS_H2_DEFERRED = 1 << 12,      /* nghttp2 waits to be told that there is more body */
    FS_H2_BODY_GONE = 1 << 13,     /* the end of the body was framed; trailers may follow */
    FS_H2_FULL = 1 << 14,          /* ext/core's: its exchange waits until the queue has fallen */
    FS_H2_HAS_TRAILERS = 1 << 15   /* the end came with trailers */
};

struct fs_h2_stream {
    fs_stream stream;              /* first: an fs_stream of HTTP/2 is its fs_h2_stream */
    fs_h2 *h2;
    fs_h2_stream *prev, *next;     /* all streams of the connection */
    fs_h2_stream *ready;           /* the next one in the ready queue */
    fs_body_queue *body;           /* in the same allocation */
    void *trailers;                /* of the answer, until the body has gone; h2_write.c's */
    int32_t id;
    uint32_t flags;
    int error;                     /* of the reset */
    uint8_t reading, writing;      /* the two enums */
    int64_t body_left;             /* of the answer: bytes that Content-Length still allows; -1: not announced */
    uint64_t received;             /* bytes of the request's body, including the discarded ones */
    uint64_t discarded;            /* the discarded ones */
    uint64_t progress;             /* when the last byte came, or the application took some */
    uint64_t sent_at;              /* when bytes of the answer last left for the connection */
    size_t unconsumed;             /* ext/core's: bytes of a tunnel that were not taken yet */
    void *receipt;                 /* likewise: who wants to know of its end; until NULL it is not freed */
    uint64_t dropped;              /* bytes of the answer that were given and never framed */
};

/* What the connections of a worker share. */
typedef struct fs_h2_shared {
    const fs_limits *limits;       /* borrowed, as all here */
    const fs_allocator *allocator;
    fs_head_common *common;
    size_t body_size;              /* bytes of a fs_body_queue with what belongs to it */
    void (*open_body)(void *ctx, fs_body_queue *body);     /* makes a fs_body_queue of them */
    void *ctx;
    fs_budget *memory;             /* for what is kept of unread bytes; NULL: unlimited */
    int tunnels;                   /* extended CONNECT is offered (RFC 8441) */
    struct nghttp2_session_callbacks *callbacks;
    struct nghttp2_option *option;
    fs_h2_arena *arena;            /* an unused one, or NULL */
    fs_h2_stream *streams;         /* freed ones, a chain by `next` */
    unsigned nstreams;
    void *nva;                     /* h2_write.c's: room for the fields of one answer */
    size_t nva_size;
} fs_h2_shared;

/* FS_OK, FS_E_NOMEM, or FS_E_INTERNAL in a build without nghttp2. */
int fs_h2_shared_init(fs_h2_shared *shared, const fs_limits *limits, const fs_allocator *allocator,
                      fs_head_common *common);
void fs_h2_shared_free(fs_h2_shared *shared);

struct fs_h2 {
    fs_h2_shared *shared;
    fs_sink *sink;
    struct nghttp2_session *session;
    fs_h2_stream *streams;         /* all of them */
    fs_h2_stream *ready, **ready_end;
    char *input;                   /* unparsed bytes: the caller's until settle, then the store's */
    size_t input_len;
    char *store;                   /* NULL if nothing is left from an earlier turn */
    size_t store_size;
    fs_h2_arena *arena;            /* of the field section that is being read; NULL outside */
    fs_slice piece;                /* of a body: the slot that a callback fills */
    fs_h2_stream *piece_of;
    fs_bucket resets, control;     /* what clients may request at will (h2_guard.c) */
    uint32_t credit;               /* WINDOW_UPDATE and PING frames for which DATA has paid */
    uint64_t now;                  /* of the last feed or pump */
    uint64_t received_at;          /* when bytes last came, */
    uint64_t framed_at;            /* and when the last frame was complete, or the last stream over */
    uint64_t begun_at;             /* when the incomplete frame or field section began */
    uint64_t framed;               /* bytes that this pump has made */
    uint32_t open;                 /* streams in `streams` */
    uint32_t closed;               /* those of them that settle may free */
    uint32_t tunnels;
    uint32_t frame_left;           /* bytes of the frame's payload to come */
    uint32_t continuations;        /* frames of this field section */
    uint32_t requests;             /* heads seen */
    int error;                     /* the error that ended the connection, or 0 */
    int32_t newest;                /* the highest stream of a HEADERS frame, */
    int32_t skipped;               /* and the one before it: those between were never opened */
    uint8_t frame[9];              /* the present frame's head, as far as read (RFC 9113 section 4.1) */
    uint8_t frame_len;
    uint8_t preface_left;
    uint8_t carries;               /* this frame is DATA with a byte of a body, or no DATA */
    uint8_t in_section;            /* inside a field section */
    uint8_t pumping;               /* frames are being made: nothing may request more of them */
    uint8_t pinged;                /* an answer to our ping is due */
    uint8_t draining;              /* 1: GOAWAY has announced the end; 2: and named the last stream */
    uint8_t over;                  /* nothing more is read */
};

/* The first bytes of a connection (RFC 9113 section 3.4). */
#define FS_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FS_H2_PREFACE_LEN 24

/* `sink` is borrowed for the connection's life. The server's SETTINGS are queued. FS_OK, FS_E_NOMEM, FS_E_INTERNAL. */
int fs_h2_init(fs_h2 *h2, fs_h2_shared *shared, fs_sink *sink, uint64_t now);
/* No exchange may be attached any more. */
void fs_h2_free(fs_h2 *h2);

/* Gives bytes to be parsed, the preface first. Borrowed until settle, which comes before the next receive into the
 * same buffer. FS_OK, FS_E_NOMEM or FS_E_NO_ROOM. */
int fs_h2_feed(fs_h2 *h2, char *p, size_t n, uint64_t now);

/*
 * The next event; its slices are borrowed until the next call of feed, next or settle.
 * FS_EVENT_RESET: the stream is gone, unless event.error is a message's
 * (fs_error_is_message): then fs_h2_refuse answers it. A negative result ends the
 * connection: what is queued still leaves, including a GOAWAY.
 */
int fs_h2_next(fs_h2 *h2, fs_event *event);

/* Frames what may leave now into the sink, about `room` bytes. FS_OK, or the error that ends the connection. */
int fs_h2_pump(fs_h2 *h2, uint64_t room, uint64_t now);

/* Whether pump has something to do. */
int fs_h2_wants_pump(const fs_h2 *h2);

/* The end of a turn: keeps unparsed bytes, frees streams that are over. FS_OK, FS_E_NOMEM, or FS_E_NO_ROOM if the
 * worker keeps as much as it may (shared->memory). */
int fs_h2_settle(fs_h2 *h2);

/* Whether next has an event although nothing was fed: pump may find that a stream is gone. */
static inline int fs_h2_has_events(const fs_h2 *h2) { return h2->ready != NULL; }

/* Since when the preface, a frame or a field section is incomplete (not a body). 0: nothing is. */
uint64_t fs_h2_incomplete_since(const fs_h2 *h2);

/* Whether the last byte of the answer has gone to the sink, or none will any more. */
static inline int fs_h2_is_framed(const fs_h2_stream *stream)
{
    return stream->flags & FS_H2_CLOSED || (stream->flags & FS_H2_BODY_GONE && !(stream->flags & FS_H2_TRAILERS_DUE));
}

/* Whether the peer did not want the whole answer. */
static inline int fs_h2_is_broken_off(const fs_h2_stream *stream)
{
    return stream->flags & FS_H2_PEER_RESET &&
           (stream->dropped || !(stream->flags & FS_H2_BODY_GONE || stream->stream.bodiless));
}

/* Bytes that were fed and not yet parsed. */
static inline size_t fs_h2_unread(const fs_h2 *h2) { return h2->input_len; }

/* Answers a stream with the error's status if no head has gone; otherwise resets it with the error's code. */
void fs_h2_refuse(fs_h2_stream *stream, int error);

/* RST_STREAM with the error's code; nothing of the answer follows, whatever the application gave. */
void fs_h2_reset(fs_h2_stream *stream, int error);

/* Ends the connection with GOAWAY and the error's code. */
void fs_h2_fail(fs_h2 *h2, int error);

/* GOAWAY, in two steps (RFC 9113 section 6.8): that no more streams should begin; then which one was the last. */
int fs_h2_drain(fs_h2 *h2, int final);

/* PING; `pinged` is cleared when its answer comes. FS_OK or FS_E_NOMEM. */
int fs_h2_ping(fs_h2 *h2);

/* Whether to close as soon as the sink is empty. */
int fs_h2_must_close(const fs_h2 *h2);

#endif
