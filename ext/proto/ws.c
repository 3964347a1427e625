#include "ws.h"

#include "error.h"
#include "ws_frame.h"
#include "ws_utf8.h"

#include <string.h>

enum {
    IN_FRAME = 1 << 0,      /* a frame's head has been read, its payload has not */
    IN_MESSAGE = 1 << 1,    /* a data frame without FIN has come: continuations follow */
    COMPRESSED = 1 << 2     /* RSV1 was set on the message's first frame */
};

enum {
    REASON_MAX = FS_WS_CONTROL_MAX - 2,
    ROOM_MIN = 512,
    ROOM_TRUSTED = 64 * 1024    /* largest announced length for which room is made before the bytes come */
};

/* Tokens for frames that carry nothing, in thousandths: a burst, the tokens of a second, and one for each message. */
enum { IDLE_BURST = 2000 * 1000, IDLE_RATE = 500, IDLE_EARNED = 1000 };

/* ---- life ------------------------------------------------------------------------ */

int fs_ws_init(fs_ws *ws, fs_ws_shared *shared, fs_sink *sink, const fs_ws_deflate_params *deflate)
{
    *ws = (fs_ws){.shared = shared, .sink = sink, .tokens = IDLE_BURST};
    if (!deflate)
        return FS_OK;
    ws->deflate = fs_ws_deflate_new(deflate, shared->allocator, shared->memory);
    return ws->deflate ? FS_OK : FS_E_NOMEM;
}

static void release(const fs_allocator *allocator, char **p)
{
    if (*p)
        allocator->release(allocator->ctx, *p);
    *p = NULL;
}

static void drop_message(fs_ws *ws)
{
    release(ws->shared->messages, &ws->message.p);
    fs_budget_give(ws->shared->memory, ws->message.room);
    ws->message = (fs_ws_buffer){.p = NULL};
}

static void drop_store(fs_ws *ws)
{
    release(ws->shared->allocator, &ws->store);
    fs_budget_give(ws->shared->memory, ws->store_size);
    ws->store_size = 0;
}

static void drop_input(fs_ws *ws)
{
    drop_store(ws);
    ws->input = NULL;
    ws->input_len = 0;
}

void fs_ws_free(fs_ws *ws)
{
    drop_message(ws);
    drop_input(ws);
    release(ws->shared->allocator, &ws->control);
    fs_ws_deflate_free(ws->deflate);
    ws->deflate = NULL;
    ws->state = FS_WS_CLOSED;
}

/* ---- the states: the only place where they change --------------------------------- */

typedef enum step {
    WE_CLOSE,       /* our close frame has been queued */
    PEER_CLOSES,    /* the peer's has come, and ours has gone */
    WE_FAIL         /* nothing more from the peer is worth reading */
} step;

static void go_on(fs_ws *ws, step step)
{
    if (step == WE_CLOSE && ws->state == FS_WS_OPEN) {
        ws->state = FS_WS_CLOSING;
    } else {
        ws->state = FS_WS_CLOSED;
        drop_input(ws);
    }
    drop_message(ws);
}

/* ---- bytes in ---------------------------------------------------------------------- */

/* Makes a store of n bytes, charged to the budget, beside an existing one. */
static int new_store(fs_ws *ws, size_t n, char **store)
{
    const fs_allocator *allocator = ws->shared->allocator;

    if (fs_budget_take(ws->shared->memory, n) < 0)
        return FS_E_NO_ROOM;
    *store = allocator->resize(allocator->ctx, NULL, n);
    if (*store)
        return FS_OK;
    fs_budget_give(ws->shared->memory, n);
    return FS_E_NOMEM;
}

int fs_ws_feed(fs_ws *ws, char *p, size_t n, uint64_t now)
{
    char *joined;
    int result;

    ws->now = now;
    if (ws->state == FS_WS_CLOSED || !n)
        return FS_OK;
    if (!ws->input_len) {
        drop_store(ws);
        ws->input = p;
        ws->input_len = n;
        return FS_OK;
    }
    result = new_store(ws, ws->input_len + n, &joined);
    if (result < 0)
        return fs_ws_fail(ws, result);
    memcpy(joined, ws->input, ws->input_len);
    memcpy(joined + ws->input_len, p, n);
    drop_store(ws);
    ws->store = ws->input = joined;
    ws->store_size = ws->input_len += n;
    return FS_OK;
}

int fs_ws_settle(fs_ws *ws)
{
    int result;

    if (!ws->input_len) {
        drop_input(ws);
        return FS_OK;
    }
    if (ws->store)
        return FS_OK;
    result = new_store(ws, ws->input_len, &ws->store);
    if (result < 0)
        return fs_ws_fail(ws, result);
    ws->store_size = ws->input_len;
    memcpy(ws->store, ws->input, ws->input_len);
    ws->input = ws->store;
    return FS_OK;
}

static char *advance(fs_ws *ws, size_t n)
{
    char *p = ws->input;

    ws->input += n;
    ws->input_len -= n;
    return p;
}

/* ---- what goes out ------------------------------------------------------------------ */

static int put_frame(fs_ws *ws, unsigned first, const char *p, size_t n, void *owner)
{
    const int shared = owner && n >= FS_SHARE_MIN;
    char *out = ws->sink->reserve(ws->sink, FS_WS_OWN_HEAD_MAX + (shared ? 0 : n));
    size_t size;

    if (!out)
        return FS_E_NOMEM;
    size = fs_ws_put_head(out, first, n);
    if (!shared && n)
        memcpy(out + size, p, n);
    ws->sink->commit(ws->sink, size + (shared ? 0 : n));
    return shared ? ws->sink->share(ws->sink, p, n, owner) : FS_OK;
}

typedef struct fragments {
    fs_ws *ws;
    unsigned first;     /* of the next frame: opcode and RSV1 with the first one only */
} fragments;

static int put_fragment(void *ctx, const char *p, size_t n, int last)
{
    fragments *to = ctx;
    const int result = put_frame(to->ws, to->first | (last ? FS_WS_FIN : 0), p, n, NULL);

    to->first = FS_WS_OP_CONTINUATION;
    return result;
}

int fs_ws_send(fs_ws *ws, int text, const char *p, size_t n, void *owner)
{
    const unsigned opcode = text ? FS_WS_OP_TEXT : FS_WS_OP_BINARY;
    fragments to = {ws, opcode | FS_WS_RSV1};
    int result = FS_E_NO_ROOM;

    if (ws->state != FS_WS_OPEN)
        return FS_E_APP_ORDER;
    if (ws->deflate && n >= ws->shared->limits->ws_deflate_min_size)
        result = fs_ws_compress(ws->deflate, p, n, put_fragment, &to);
    return result == FS_E_NO_ROOM ? put_frame(ws, opcode | FS_WS_FIN, p, n, owner) : result;
}

int fs_ws_ping(fs_ws *ws, const char *p, size_t n)
{
    return ws->state == FS_WS_OPEN ? put_frame(ws, FS_WS_OP_PING | FS_WS_FIN, p, n, NULL) : FS_OK;
}

int fs_ws_code_is_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static int put_close(fs_ws *ws, int code, const char *reason, size_t n)
{
    char payload[FS_WS_CONTROL_MAX];

    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (n)
        memcpy(payload + 2, reason, n);
    ws->close_sent = (uint16_t)code;
    return put_frame(ws, FS_WS_OP_CLOSE | FS_WS_FIN, payload, code ? n + 2 : 0, NULL);
}

int fs_ws_close(fs_ws *ws, int code, const char *reason, size_t n)
{
    int result;

    if (n > REASON_MAX || (code ? !fs_ws_code_is_valid(code) : n != 0))
        return FS_E_APP_CLOSE;
    if (ws->state != FS_WS_OPEN)
        return FS_OK;
    result = put_close(ws, code, reason, n);
    go_on(ws, WE_CLOSE);
    return result;
}

/* ---- a frame's head ----------------------------------------------------------------- */

/* Takes bytes until there are `need`; 1 if there are. */
static int fill(void *into, uint8_t *have, size_t need, fs_ws *ws)
{
    size_t n = need - *have;

    if (n > ws->input_len)
        n = ws->input_len;
    memcpy((char *)into + *have, advance(ws, n), n);
    *have = (uint8_t)(*have + n);
    return *have == need;
}

static int is_control(const fs_ws *ws)
{
    return ws->head[0] & 0x8;
}

static int is_last(const fs_ws *ws)
{
    return ws->head[0] & FS_WS_FIN;
}

static void earn(fs_ws *ws, uint64_t thousandths)
{
    const uint64_t tokens = ws->tokens + thousandths;

    ws->tokens = tokens < IDLE_BURST ? (uint32_t)tokens : IDLE_BURST;
}

/* A frame that carries nothing has to be paid for: its answer costs us as much as it costs the peer, and more. */
static int pay(fs_ws *ws)
{
    if (ws->now > ws->paid)
        earn(ws, (ws->now - ws->paid) * IDLE_RATE);
    ws->paid = ws->now;
    if (ws->tokens < 1000)
        return FS_E_WS_FLOOD;
    ws->tokens -= 1000;
    return FS_OK;
}

static int check_control(fs_ws *ws)
{
    const unsigned first = ws->head[0], opcode = first & 0xf;

    if (opcode > FS_WS_OP_PONG || !(first & FS_WS_FIN) || first & FS_WS_RSV || ws->payload_left > FS_WS_CONTROL_MAX)
        return FS_E_WS_FRAME; /* RFC 6455 section 5.5 */
    return opcode == FS_WS_OP_CLOSE ? FS_OK : pay(ws);
}

static int check_data(fs_ws *ws)
{
    const unsigned first = ws->head[0], opcode = first & 0xf;
    const uint64_t most = ws->shared->limits->ws_max_size;
    const unsigned allowed = ws->deflate && opcode != FS_WS_OP_CONTINUATION ? FS_WS_RSV1 : 0;

    if (opcode > FS_WS_OP_BINARY || (first & FS_WS_RSV & ~allowed))
        return FS_E_WS_FRAME;
    if (!(ws->flags & IN_MESSAGE) != (opcode != FS_WS_OP_CONTINUATION))
        return FS_E_WS_FRAME; /* section 5.4: fragments of two messages never mix */
    if (opcode != FS_WS_OP_CONTINUATION) {
        ws->opcode = (uint8_t)opcode;
        ws->utf8 = 0;
        ws->begun++;
        ws->flags = (ws->flags & ~(uint32_t)COMPRESSED) | (first & FS_WS_RSV1 ? COMPRESSED : 0);
    }
    if (!(ws->flags & COMPRESSED) && (ws->payload_left > most || ws->message.n > most - ws->payload_left))
        return FS_E_WS_TOO_BIG;
    return is_last(ws) || ws->payload_left ? FS_OK : pay(ws);
}

/* 1: the head of a frame is complete and valid. */
static int read_head(fs_ws *ws)
{
    int64_t length;
    int result;

    if (!fill(ws->head, &ws->head_len, ws->head_len < 2 ? 2 : ws->head_len, ws) ||
        !fill(ws->head, &ws->head_len, fs_ws_head_size(ws->head), ws))
        return 0;
    length = fs_ws_head_length(ws->head);
    if (!(ws->head[1] & FS_WS_MASKED) || length < 0)
        return FS_E_WS_FRAME; /* sections 5.1 and 5.2 */
    ws->payload_left = (uint64_t)length;
    ws->mask = fs_ws_head_mask(ws->head);
    result = is_control(ws) ? check_control(ws) : check_data(ws);
    if (result < 0)
        return result;
    ws->flags |= IN_FRAME;
    ws->control_len = 0;
    release(ws->shared->allocator, &ws->control);
    return 1;
}

static void end_frame(fs_ws *ws)
{
    ws->flags &= ~(uint32_t)IN_FRAME;
    ws->head_len = 0;
}

/* ---- control frames ------------------------------------------------------------------ */

static int read_close(fs_ws *ws, fs_ws_event *event, size_t n)
{
    const char *reason = n > 2 ? ws->control + 2 : "";
    const int code = n >= 2 ? (uint8_t)ws->control[0] << 8 | (uint8_t)ws->control[1] : 0;
    uint32_t utf8 = 0;
    int result = FS_OK;

    if (n == 1 || (n && !fs_ws_code_is_valid(code)))
        return FS_E_WS_FRAME; /* sections 5.5.1 and 7.4 */
    if (n > 2 && (!fs_utf8_feed(&utf8, reason, n - 2) || utf8))
        return FS_E_WS_UTF8;
    event->kind = FS_WS_CLOSE;
    event->code = (uint16_t)(code ? code : 1005);
    event->data = (fs_slice){reason, n > 2 ? n - 2 : 0};
    if (ws->state == FS_WS_OPEN)
        result = put_close(ws, code, NULL, 0);
    go_on(ws, PEER_CLOSES);
    return result < 0 ? result : 1;
}

static int read_control(fs_ws *ws, fs_ws_event *event)
{
    const unsigned opcode = ws->head[0] & 0xf;
    const size_t size = ws->head[1] & 0x7f;
    int result = FS_OK;

    if (!ws->control && size) {
        ws->control = ws->shared->allocator->resize(ws->shared->allocator->ctx, NULL, size);
        if (!ws->control)
            return FS_E_NOMEM;
    }
    if (size && !fill(ws->control, &ws->control_len, size, ws))
        return 0;
    if (size)
        fs_ws_unmask(ws->control, ws->control, size, ws->mask);
    end_frame(ws);
    if (opcode == FS_WS_OP_CLOSE)
        return read_close(ws, event, size);
    if (opcode == FS_WS_OP_PONG) {
        event->kind = FS_WS_PONG;
        event->data = (fs_slice){size ? ws->control : "", size};
    } else if (ws->state == FS_WS_OPEN) {
        result = put_frame(ws, FS_WS_OP_PONG | FS_WS_FIN, ws->control, size, NULL);
    }
    return result < 0 ? result : 1;
}

/* ---- data frames ---------------------------------------------------------------------- */

/* The mask as the byte after the next n sees it. */
static void turn_mask(fs_ws *ws, size_t n)
{
    const unsigned bits = 8 * (n % 4);

    if (!bits)
        return;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    ws->mask = ws->mask >> bits | ws->mask << (32 - bits);
#else
    ws->mask = ws->mask << bits | ws->mask >> (32 - bits);
#endif
}

/* Memory grows with what has come: an announced length counts only if it is small. */
static int make_room(fs_ws *ws, size_t extra)
{
    fs_ws_buffer *message = &ws->message;
    const uint64_t announced = message->n + ws->payload_left;
    size_t room = message->n + extra;

    if (room <= message->room)
        return FS_OK;
    if (room < 2 * message->room)
        room = 2 * message->room;
    if (room < ROOM_MIN && !is_last(ws))
        room = ROOM_MIN;
    if (is_last(ws) && (announced < room || announced <= ROOM_TRUSTED))
        room = (size_t)announced;
    return fs_ws_buffer_grow(message, room, ws->shared->messages, ws->shared->memory);
}

static int append(fs_ws *ws, size_t n)
{
    fs_ws_buffer *message = &ws->message;
    const uint64_t most = ws->shared->limits->ws_max_size;
    const int last = is_last(ws) && n == ws->payload_left;
    const size_t before = message->n;
    char *p = ws->input;
    int result = FS_OK;

    if (ws->flags & COMPRESSED) {
        fs_ws_unmask(p, p, n, ws->mask);
        result = fs_ws_inflate(ws->deflate, p, n, last, message, ws->shared->messages, (size_t)most);
    } else if (n) {
        if ((result = make_room(ws, n)) < 0)
            return result;
        fs_ws_unmask(message->p + before, p, n, ws->mask);
        message->n += n;
    }
    if (ws->opcode == FS_WS_OP_TEXT && message->n > before &&
        !fs_utf8_feed(&ws->utf8, message->p + before, message->n - before))
        return FS_E_WS_UTF8; /* it came before the error of inflate */
    return result;
}

/* Gives out a complete message; its memory, if any, becomes the receiver's. */
static int give_message(fs_ws *ws, fs_ws_event *event)
{
    ws->flags &= ~(uint32_t)(IN_MESSAGE | COMPRESSED);
    if (ws->opcode == FS_WS_OP_TEXT && ws->utf8)
        return FS_E_WS_UTF8;
    earn(ws, IDLE_EARNED);
    fs_budget_give(ws->shared->memory, ws->message.room);
    event->kind = FS_WS_MESSAGE;
    event->text = ws->opcode == FS_WS_OP_TEXT;
    event->buffer = ws->message.p;
    event->data = (fs_slice){ws->message.p ? ws->message.p : "", ws->message.n};
    ws->message = (fs_ws_buffer){.p = NULL};
    return 1;
}

/* Gives out a message of one complete frame in place. */
static int give_in_place(fs_ws *ws, fs_ws_event *event)
{
    const size_t n = (size_t)ws->payload_left;
    char *p = advance(ws, n);

    end_frame(ws);
    earn(ws, IDLE_EARNED);
    event->kind = FS_WS_MESSAGE;
    event->text = ws->opcode == FS_WS_OP_TEXT;
    event->data = (fs_slice){p, n};
    event->mask = ws->mask;
    if (!event->text)
        return 1;
    fs_ws_unmask(p, p, n, ws->mask);
    event->mask = 0;
    return fs_utf8_feed(&ws->utf8, p, n) && !ws->utf8 ? 1 : FS_E_WS_UTF8;
}

static int read_data(fs_ws *ws, fs_ws_event *event)
{
    size_t n = ws->payload_left < ws->input_len ? (size_t)ws->payload_left : ws->input_len;
    int result = FS_OK;

    if (ws->state == FS_WS_OPEN) {
        if (n == ws->payload_left && is_last(ws) && !(ws->flags & (IN_MESSAGE | COMPRESSED)) && !ws->message.n)
            return give_in_place(ws, event);
        result = append(ws, n);
        turn_mask(ws, n);
    }
    if (result < 0)
        return result;
    advance(ws, n);
    ws->payload_left -= n;
    ws->progress += n || !ws->payload_left;
    if (ws->payload_left)
        return 0;
    end_frame(ws);
    if (!is_last(ws)) {
        ws->flags |= IN_MESSAGE;
        return 1;
    }
    if (ws->state == FS_WS_OPEN)
        return give_message(ws, event);
    ws->flags &= ~(uint32_t)(IN_MESSAGE | COMPRESSED);
    return 1;
}

/* ---- events ----------------------------------------------------------------------------- */

/* 1: go on, with the event if there is one. 0: more bytes are needed. */
static int read_frame(fs_ws *ws, fs_ws_event *event)
{
    int result = ws->flags & IN_FRAME ? 1 : read_head(ws);

    if (result <= 0)
        return result;
    return is_control(ws) ? read_control(ws, event) : read_data(ws, event);
}

/* RFC 6455 section 7.1.7. If there is no memory for the close frame, the connection's end has to say it. */
int fs_ws_fail(fs_ws *ws, int error)
{
    if (ws->state == FS_WS_OPEN)
        (void)put_close(ws, fs_error_describe(error)->close_code, NULL, 0);
    ws->error = error;
    go_on(ws, WE_FAIL);
    return error;
}

int fs_ws_next(fs_ws *ws, fs_ws_event *event)
{
    int result = 1;

    *event = (fs_ws_event){.kind = FS_WS_NONE};
    while (result > 0 && event->kind == FS_WS_NONE && ws->state != FS_WS_CLOSED && (ws->input_len || ws->flags & IN_FRAME))
        result = read_frame(ws, event);
    if (result < 0) {
        event->kind = FS_WS_NONE;
        return fs_ws_fail(ws, result);
    }
    return FS_OK;
}

int fs_ws_unfinished(const fs_ws *ws)
{
    return ws->state == FS_WS_OPEN && (ws->head_len || ws->flags & (IN_FRAME | IN_MESSAGE));
}
