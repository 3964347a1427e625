#include "h1_state.h"

#include <string.h>

/* ---- the tables ---------------------------------------------------------- */

#define R(state) FS_H1_READ_##state

const uint8_t fs_h1_reading_table[FS_H1_READ_DISCARD + 1][FS_H1_READING_INPUTS] = {
    /*              FIRST_BYTE   BODY         MESSAGE      ANSWERED     UPGRADE      STOP */
    [R(IDLE)]    = {R(HEAD),     R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD)},
    [R(HEAD)]    = {R(DISCARD),  R(BODY),     R(DONE),     R(DISCARD),  R(DISCARD),  R(DISCARD)},
    [R(BODY)]    = {R(DISCARD),  R(DISCARD),  R(DONE),     R(SKIP),     R(DISCARD),  R(DISCARD)},
    [R(DONE)]    = {R(DISCARD),  R(DISCARD),  R(DISCARD),  R(IDLE),     R(TUNNEL),   R(DISCARD)},
    [R(SKIP)]    = {R(DISCARD),  R(DISCARD),  R(IDLE),     R(DISCARD),  R(DISCARD),  R(DISCARD)},
    [R(TUNNEL)]  = {R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD)},
    [R(DISCARD)] = {R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD),  R(DISCARD)},
};

#define W(state) FS_H1_WRITE_##state

const uint8_t fs_h1_writing_table[FS_H1_WRITE_BROKEN + 1][FS_H1_WRITING_INPUTS] = {
    /*               REQUEST    LENGTH     CHUNKED     CLOSE      NO_BODY     TRAILERS     END        ABORT */
    [W(IDLE)]     = {W(HEAD),   W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(BROKEN), W(BROKEN)},
    [W(HEAD)]     = {W(BROKEN), W(LENGTH), W(CHUNKED), W(CLOSE),  W(NO_BODY), W(BROKEN),   W(IDLE),   W(BROKEN)},
    [W(LENGTH)]   = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(IDLE),   W(BROKEN)},
    [W(CHUNKED)]  = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(TRAILERS), W(IDLE),   W(BROKEN)},
    [W(CLOSE)]    = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(IDLE),   W(BROKEN)},
    [W(NO_BODY)]  = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(IDLE),   W(BROKEN)},
    [W(TRAILERS)] = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(IDLE),   W(BROKEN)},
    [W(BROKEN)]   = {W(BROKEN), W(BROKEN), W(BROKEN),  W(BROKEN), W(BROKEN),  W(BROKEN),   W(BROKEN), W(BROKEN)},
};

#define K(state) FS_H1_KEEP_##state

const uint8_t fs_h1_keep_table[FS_H1_KEEP_CLOSED + 1][FS_H1_KEEP_INPUTS] = {
    /*                  LAST            RESPONSE_END  SHUT */
    [K(OPEN)]        = {K(CLOSE_AFTER), K(OPEN),      K(CLOSED)},
    [K(CLOSE_AFTER)] = {K(CLOSE_AFTER), K(CLOSED),    K(CLOSED)},
    [K(CLOSED)]      = {K(CLOSED),      K(CLOSED),    K(CLOSED)},
};

/* ---- the transitions ----------------------------------------------------- */

void fs_h1_start(fs_h1 *h1)
{
    h1->reading = FS_H1_READ_IDLE;
    h1->writing = FS_H1_WRITE_IDLE;
    h1->keep = FS_H1_KEEP_OPEN;
}

void fs_h1_open_stream(fs_h1 *h1)
{
    fs_stream *stream = &h1->stream;

    stream->exchange = NULL;
    stream->head_sent = stream->ended = stream->trailers_pending = stream->bodiless = 0;
    stream->status = 0;
    stream->body_sent = 0;
    fs_h1_writing_on(h1, FS_H1_ON_REQUEST);
}

static void stop_reading(fs_h1 *h1)
{
    h1->mark = NULL;
    h1->input_len = h1->more_len = 0;
    fs_h1_reading_on(h1, FS_H1_ON_STOP);
}

/* The connection ends here: nothing more from the peer is read. */
static void shut(fs_h1 *h1)
{
    const int expected = h1->reading == FS_H1_READ_DONE && h1->flags & FS_H1_PEER_CLOSES && !fs_h1_unread(h1);

    if (!expected && !(h1->flags & FS_H1_RESET))
        h1->flags |= FS_H1_LINGER;
    fs_h1_keep_on(h1, FS_H1_ON_SHUT);
    stop_reading(h1);
}

/* Whether the rest of the request's body is not worth reading, or may never come (RFC 9110 section 10.1.1). */
static int cannot_skip(const fs_h1 *h1)
{
    if (h1->reading != FS_H1_READ_BODY)
        return 0;
    return h1->flags & (FS_H1_EXPECTS | FS_H1_EOF) || h1->body_wanted > h1->shared->limits->max_skip;
}

void fs_h1_end_response(fs_h1 *h1)
{
    h1->stream.ended = 1;
    h1->stream.trailers_pending = 0;
    fs_h1_writing_on(h1, FS_H1_ON_END);
    if (cannot_skip(h1) || (h1->flags & FS_H1_EOF && !fs_h1_unread(h1)) || h1->reading == FS_H1_READ_DISCARD)
        fs_h1_keep_on(h1, FS_H1_ON_LAST);
    fs_h1_keep_on(h1, FS_H1_ON_RESPONSE_END);
    if (h1->keep == FS_H1_KEEP_CLOSED)
        shut(h1);
    else
        fs_h1_reading_on(h1, FS_H1_ON_ANSWERED);
}

void fs_h1_break_response(fs_h1 *h1)
{
    if (h1->writing == FS_H1_WRITE_CLOSE)
        h1->flags |= FS_H1_RESET;
    h1->stream.ended = 1;
    h1->stream.trailers_pending = 0;
    fs_h1_writing_on(h1, FS_H1_ON_ABORT);
    shut(h1);
}

void fs_h1_end_tunnel(fs_h1 *h1)
{
    shut(h1);
}

/* Even the answer to a bad HEAD request has no body. */
static int head_asked(const fs_h1 *h1)
{
    const size_t n = (size_t)(h1->input + h1->input_len - h1->mark);

    return n >= 5 && memcmp(h1->mark, "HEAD ", 5) == 0;
}

int fs_h1_fail(fs_h1 *h1, int error)
{
    if (h1->reading == FS_H1_READ_SKIP || h1->reading == FS_H1_READ_TUNNEL)
        h1->flags |= FS_H1_ANSWERED;
    if (h1->reading == FS_H1_READ_IDLE)
        h1->flags &= FS_H1_OF_CONNECTION;
    if (h1->reading == FS_H1_READ_HEAD && h1->mark && head_asked(h1))
        h1->flags |= FS_H1_IS_HEAD;
    h1->error = error;
    h1->flags |= FS_H1_LINGER;
    fs_h1_keep_on(h1, FS_H1_ON_LAST);
    stop_reading(h1);
    return error;
}

void fs_h1_close_now(fs_h1 *h1)
{
    fs_h1_keep_on(h1, FS_H1_ON_SHUT);
    stop_reading(h1);
}
