#ifndef FS_PROTO_H1_H
#define FS_PROTO_H1_H

#include "base/allocator.h"
#include "budget.h"
#include "h1_chunked.h"
#include "head.h"
#include "limits.h"
#include "stream.h"

#include <llhttp.h>

/*
 * The HTTP/1 connection machine (RFC 9112), server side, sans I/O: bytes in by
 * feed, events out by next, responses in through fs_stream, bytes out through
 * fs_sink. No socket, no clock, no global.
 *
 * A turn is: feed, next until FS_EVENT_NONE or an error, responses, settle.
 */

/* Reading, writing and keeping alive are three machines; h1_state.c makes all
 * their transitions and docs/architecture.md draws its tables. */
typedef enum fs_h1_reading {
    FS_H1_READ_IDLE,        /* between messages: no byte of the next head yet */
    FS_H1_READ_HEAD,        /* inside a head */
    FS_H1_READ_BODY,
    FS_H1_READ_DONE,        /* message complete, its response is not */
    FS_H1_READ_SKIP,       /* response complete, the rest of the body is discarded */
    FS_H1_READ_TUNNEL,      /* after 101 */
    FS_H1_READ_DISCARD      /* after an error or a close: whatever comes is ignored */
} fs_h1_reading;

typedef enum fs_h1_writing {
    FS_H1_WRITE_IDLE,       /* no request to answer */
    FS_H1_WRITE_HEAD,       /* a request waits for its head */
    FS_H1_WRITE_LENGTH,     /* body with Content-Length */
    FS_H1_WRITE_CHUNKED,
    FS_H1_WRITE_CLOSE,      /* body ended by the close (HTTP/1.0) */
    FS_H1_WRITE_NO_BODY,    /* HEAD, 204, 205, 304: pieces are swallowed */
    FS_H1_WRITE_TRAILERS,
    FS_H1_WRITE_BROKEN      /* aborted after the head */
} fs_h1_writing;

typedef enum fs_h1_keep {
    FS_H1_KEEP_OPEN,        /* the connection goes on after this message */
    FS_H1_KEEP_CLOSE_AFTER, /* closes after this response */
    FS_H1_KEEP_CLOSED       /* nothing more will be read or written */
} fs_h1_keep;

/* What the connections of a worker share. One receive buffer serves all of
 * them, so one scratch array of fields does too: a head that is not complete
 * at the end of its turn is copied out by settle. */
typedef struct fs_h1_shared {
    const fs_limits *limits;       /* borrowed */
    const fs_allocator *allocator; /* borrowed */
    fs_head_common *common;        /* borrowed */
    fs_field *scratch;             /* limits->max_fields entries, and one for the Host of an absolute target */
    fs_budget *memory;             /* borrowed: for what is kept of heads and unread bytes; NULL: unlimited */
    int draining;                  /* the worker stops: a head with nothing unread behind its request says close */
} fs_h1_shared;

int fs_h1_shared_init(fs_h1_shared *shared, const fs_limits *limits,
                      const fs_allocator *allocator, fs_head_common *common);
void fs_h1_shared_free(fs_h1_shared *shared);

typedef struct fs_h1_store fs_h1_store; /* h1_input.c's: the copied part of an incomplete head, unread bytes */

typedef struct fs_h1 {
    fs_stream stream;              /* first: an fs_stream of this connection is its fs_h1 */
    llhttp_t parser;
    fs_h1_shared *shared;
    fs_sink *sink;
    fs_h1_store *store;            /* NULL while idle: an idle connection holds no buffer */
    char *input;                   /* unparsed bytes: in the caller's buffer until settle, then in the store */
    char *more;                    /* those after them, in the caller's buffer while `input` is in the store */
    size_t input_len, more_len;
    char *mark;                    /* first byte of the head or trailer section being read, in one run with `input`;
                                    * NULL outside */
    char *target, *version;        /* of the head being read, in the same run; NULL until they are reached */
    fs_field *fields;              /* shared->scratch or the store's */
    fs_slice piece;                /* a run of a chunked body */
    uint32_t nfields;
    uint32_t target_len;
    uint32_t flags;                /* FS_H1_* of h1_state.h */
    uint64_t body_left;            /* of the response: bytes that Content-Length still allows */
    uint64_t body_read;            /* of the request */
    fs_chunked chunked;            /* the framing of this body, if it is chunked */
    uint64_t body_wanted;          /* of an identity body of the request: bytes still to come */
    uint64_t skipped;              /* bytes of the request's body discarded after its answer */
    uint64_t requests;             /* heads seen */
    int error;                     /* the error that ended reading, or 0 */
    uint8_t reading, writing, keep; /* the three enums */
    uint8_t version_len;
    uint8_t blank;                 /* bytes of empty lines before this head */
} fs_h1;

_Static_assert(sizeof(fs_h1) < 384, "an idle connection may cost 1 KiB in all");

/* `sink` is borrowed for the connection's life. */
void fs_h1_init(fs_h1 *h1, fs_h1_shared *shared, fs_sink *sink);
void fs_h1_free(fs_h1 *h1);

/*
 * Takes bytes to be parsed. They are borrowed until settle, and written to: field
 * names become lower-case in place. Bytes that an earlier turn left in the store
 * come first. Whoever receives again into the same buffer settles first. FS_OK,
 * FS_E_NOMEM or FS_E_NO_ROOM.
 */
int fs_h1_feed(fs_h1 *h1, char *p, size_t n);

/*
 * The next event; its slices are borrowed until the next feed, next or settle.
 * Returns FS_OK with FS_EVENT_NONE when more bytes are needed or when the
 * message is complete and its response is not (pipelining: the next head comes
 * only after the answer). A negative result is the peer's fault (FS_E_*) or
 * FS_E_NOMEM: reading is then FS_H1_READ_DISCARD, and fs_h1_refuse answers
 * where that is still possible.
 */
int fs_h1_next(fs_h1 *h1, fs_event *event);

/*
 * The peer will send no more. FS_OK between messages, if this message was
 * complete, and while bytes are unread: then next reports a message that is cut.
 * FS_E_BODY_CUT inside a body, FS_E_BAD_REQUEST_LINE inside a head.
 */
int fs_h1_eof(fs_h1 *h1);

/* The end of a turn: copies whatever must outlive the caller's buffer, and frees
 * an empty store. FS_OK, FS_E_NOMEM, or FS_E_NO_ROOM if the worker keeps as much as
 * it may (shared->memory). */
int fs_h1_settle(fs_h1 *h1);

/*
 * Answers an error with its status, a short text body and Connection: close,
 * unless a final head has gone (then the response is broken off), the message was
 * answered, or the error has no status. Afterwards nothing more is read. FS_OK, or
 * FS_E_NOMEM if there was no memory for the answer.
 */
int fs_h1_refuse(fs_h1 *h1, int error);

/* Bytes that were fed and not yet parsed. */
static inline size_t fs_h1_unread(const fs_h1 *h1) { return h1->input_len + h1->more_len; }

/* Whether a request (or part of one) is being read or answered. */
static inline int fs_h1_busy(const fs_h1 *h1)
{
    return h1->reading != FS_H1_READ_IDLE || h1->writing != FS_H1_WRITE_IDLE;
}

/* Whether to close as soon as the sink is empty. With fs_h1_must_reset, by RST: a
 * body that only the close ends (HTTP/1.0) was broken off, and a FIN would look
 * like its end. */
int fs_h1_must_close(const fs_h1 *h1);
int fs_h1_must_reset(const fs_h1 *h1);

/* Whether the peer's bytes may still arrive after the last answer: they have to be
 * read and discarded for a moment, or a RST overtakes the answer (RFC 9112 section 9.6). */
int fs_h1_must_linger(const fs_h1 *h1);

/*
 * After FS_HEAD_UPGRADE_WEBSOCKET: answers 101 with these fields (Connection
 * and Upgrade are added) and turns the connection into a tunnel; next() returns
 * FS_EVENT_DATA from here on, beginning with what came directly after the request.
 * FS_OK, FS_E_APP_* with nothing sent, or FS_E_NOMEM.
 */
int fs_h1_upgrade(fs_h1 *h1, const fs_field *fields, uint32_t n);

/* How many more bytes of an identity body are expected, 0 if the machine is not
 * inside one or has unread bytes. The caller may receive them into their final
 * place and report them with fs_h1_body_direct instead of feeding them. */
uint64_t fs_h1_body_wanted(const fs_h1 *h1);
/* n <= fs_h1_body_wanted() bytes of body were received elsewhere. Sets *end
 * when the message is complete. FS_OK, or FS_E_INTERNAL when n is larger. */
int fs_h1_body_direct(fs_h1 *h1, size_t n, int *end);

#endif
