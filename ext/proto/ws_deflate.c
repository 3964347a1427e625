#include "ws_deflate.h"

#include "error.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

const int fs_ws_deflate_available = 1;

/* RFC 7692 section 7.2.1: the end of a sync flush is removed from the message, and put back to inflate it. */
static const unsigned char TAIL[4] = {0x00, 0x00, 0xff, 0xff};

enum {
    BUFFER_MIN = 512,
    STATE = 8192        /* zlib's own state of a stream each way: about 6 and 7 KiB */
};

struct fs_ws_deflate {
    fs_ws_deflate_params params;
    const fs_allocator *allocator;
    fs_budget *memory;
    int deflating, inflating;      /* the stream has been made */
    z_stream out, in;
};

/* ---- zlib's memory ---------------------------------------------------------- */

static void *zlib_allocate(void *ctx, unsigned n, unsigned size)
{
    const fs_allocator *allocator = ctx;

    if (size && n > UINT_MAX / size)
        return NULL;
    return allocator->resize(allocator->ctx, NULL, (size_t)n * size + !(n && size));
}

static void zlib_release(void *ctx, void *p)
{
    const fs_allocator *allocator = ctx;

    allocator->release(allocator->ctx, p);
}

static void prepare(const fs_ws_deflate *deflate, z_stream *stream)
{
    memset(stream, 0, sizeof *stream);
    stream->zalloc = zlib_allocate;
    stream->zfree = zlib_release;
    stream->opaque = (void *)(uintptr_t)deflate->allocator; /* zlib has no const there */
}

/* What a stream costs: the sizes are those of ws_deflate.h. */
static uint64_t cost_out(const fs_ws_deflate *deflate)
{
    return (UINT64_C(1) << (deflate->params.server_bits + 2)) + (UINT64_C(1) << (FS_WS_DEFLATE_MEM_LEVEL + 9)) + STATE;
}

static uint64_t cost_in(const fs_ws_deflate *deflate)
{
    return (UINT64_C(1) << deflate->params.client_bits) + STATE;
}

/* ---- life ------------------------------------------------------------------- */

fs_ws_deflate *fs_ws_deflate_new(const fs_ws_deflate_params *params, const fs_allocator *allocator, fs_budget *memory)
{
    fs_ws_deflate *deflate = allocator->resize(allocator->ctx, NULL, sizeof *deflate);

    if (!deflate)
        return NULL;
    *deflate = (fs_ws_deflate){.params = *params, .allocator = allocator, .memory = memory};
    return deflate;
}

void fs_ws_deflate_free(fs_ws_deflate *deflate)
{
    if (!deflate)
        return;
    if (deflate->deflating) {
        (void)deflateEnd(&deflate->out); /* says only that bytes were left */
        fs_budget_give(deflate->memory, cost_out(deflate));
    }
    if (deflate->inflating) {
        (void)inflateEnd(&deflate->in);
        fs_budget_give(deflate->memory, cost_in(deflate));
    }
    deflate->allocator->release(deflate->allocator->ctx, deflate);
}

/* ---- inflate ---------------------------------------------------------------- */

static int begin_inflating(fs_ws_deflate *deflate)
{
    if (deflate->inflating)
        return FS_OK;
    if (fs_budget_take(deflate->memory, cost_in(deflate)) < 0)
        return FS_E_NO_ROOM;
    prepare(deflate, &deflate->in);
    if (inflateInit2(&deflate->in, -deflate->params.client_bits) != Z_OK) {
        fs_budget_give(deflate->memory, cost_in(deflate));
        return FS_E_NOMEM;
    }
    deflate->inflating = 1;
    return FS_OK;
}

/* Makes more room: twice as much, at most one byte beyond `most`, which only a message that is too large fills. */
static int grow(const fs_ws_deflate *deflate, fs_ws_buffer *into, const fs_allocator *allocator, size_t most)
{
    const size_t room = into->room ? into->room * 2 : BUFFER_MIN;

    return fs_ws_buffer_grow(into, room > most ? most + 1 : room, allocator, deflate->memory);
}

/* Room that is left, as zlib counts. */
static unsigned left(const fs_ws_buffer *into)
{
    return into->room - into->n < INT_MAX ? (unsigned)(into->room - into->n) : INT_MAX;
}

static int inflate_run(fs_ws_deflate *deflate, const void *p, size_t n, fs_ws_buffer *into,
                       const fs_allocator *allocator, size_t most)
{
    z_stream *in = &deflate->in;
    unsigned room;
    int result;

    in->next_in = (unsigned char *)(uintptr_t)p;
    in->avail_in = (unsigned)n;
    do {
        if (into->n == into->room && (result = grow(deflate, into, allocator, most)) < 0)
            return result;
        in->next_out = (unsigned char *)into->p + into->n;
        in->avail_out = room = left(into);
        result = inflate(in, Z_SYNC_FLUSH);
        into->n += room - in->avail_out;
        if (into->n > most)
            return FS_E_WS_TOO_BIG;
        if (result == Z_STREAM_END) /* RFC 7692 section 7.2.3.4: another stream follows, with the same window */
            result = inflateResetKeep(in);
        if (result == Z_MEM_ERROR)
            return FS_E_NOMEM;
        if (result != Z_OK && result != Z_BUF_ERROR)
            return FS_E_WS_DEFLATE;
    } while (in->avail_in || !in->avail_out);
    return FS_OK;
}

int fs_ws_inflate(fs_ws_deflate *deflate, const char *p, size_t n, int last, fs_ws_buffer *into,
                  const fs_allocator *allocator, size_t most)
{
    int result = begin_inflating(deflate);

    while (result == FS_OK && n) {
        const size_t run = n < INT_MAX ? n : INT_MAX;

        result = inflate_run(deflate, p, run, into, allocator, most);
        p += run;
        n -= run;
    }
    if (result < 0 || !last)
        return result;
    result = inflate_run(deflate, TAIL, sizeof TAIL, into, allocator, most);
    if (result == FS_OK && deflate->params.client_no_takeover && inflateReset(&deflate->in) != Z_OK)
        result = FS_E_INTERNAL;
    return result;
}

/* ---- deflate ---------------------------------------------------------------- */

static int begin_deflating(fs_ws_deflate *deflate)
{
    if (deflate->deflating)
        return FS_OK;
    if (fs_budget_is_tight(deflate->memory) || fs_budget_take(deflate->memory, cost_out(deflate)) < 0)
        return FS_E_NO_ROOM;
    prepare(deflate, &deflate->out);
    if (deflateInit2(&deflate->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -deflate->params.server_bits,
                     FS_WS_DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        fs_budget_give(deflate->memory, cost_out(deflate));
        return FS_E_NOMEM;
    }
    deflate->deflating = 1;
    return FS_OK;
}

typedef int (*taker)(void *ctx, const char *p, size_t n, int last);

/* A piece that is being compressed. The last four bytes of the stream are held back: they may be the tail. */
typedef struct piece {
    unsigned char bytes[FS_WS_DEFLATE_PIECE + sizeof TAIL];
    size_t n;
} piece;

/* Compresses what `out` was given. FS_OK, or what `put` says. */
static int compress_run(z_stream *out, int flush, piece *piece, taker put, void *ctx)
{
    int result;

    do {
        if (piece->n == sizeof piece->bytes) {
            if ((result = put(ctx, (const char *)piece->bytes, FS_WS_DEFLATE_PIECE, 0)) < 0)
                return result;
            memcpy(piece->bytes, piece->bytes + FS_WS_DEFLATE_PIECE, sizeof TAIL);
            piece->n = sizeof TAIL;
        }
        out->next_out = piece->bytes + piece->n;
        out->avail_out = (unsigned)(sizeof piece->bytes - piece->n);
        result = deflate(out, flush);
        if (result != Z_OK && result != Z_BUF_ERROR) /* Z_BUF_ERROR: nothing was left to flush */
            return FS_E_INTERNAL;
        piece->n = sizeof piece->bytes - out->avail_out;
    } while (out->avail_in || !out->avail_out);
    return FS_OK;
}

static int put_last(const piece *piece, taker put, void *ctx)
{
    if (!piece->n) /* a message without a byte right after a flush: RFC 7692 section 7.2.3.6 */
        return put(ctx, "", 1, 1);
    if (piece->n < sizeof TAIL || memcmp(piece->bytes + piece->n - sizeof TAIL, TAIL, sizeof TAIL) != 0)
        return FS_E_INTERNAL;
    return put(ctx, (const char *)piece->bytes, piece->n - sizeof TAIL, 1);
}

int fs_ws_compress(fs_ws_deflate *deflate, const char *p, size_t n, taker put, void *ctx)
{
    z_stream *out = &deflate->out;
    int result = begin_deflating(deflate);
    piece piece;

    piece.n = 0;
    while (result == FS_OK) {
        const size_t run = n < INT_MAX ? n : INT_MAX;

        out->next_in = (unsigned char *)(uintptr_t)p;
        out->avail_in = (unsigned)run;
        p += run;
        n -= run;
        result = compress_run(out, n ? Z_NO_FLUSH : Z_SYNC_FLUSH, &piece, put, ctx);
        if (!n)
            break;
    }
    if (result == FS_OK)
        result = put_last(&piece, put, ctx);
    if (result == FS_OK && deflate->params.server_no_takeover && deflateReset(out) != Z_OK)
        result = FS_E_INTERNAL;
    return result;
}
