#include "h2_state.h"

#include <string.h>

enum { STREAMS_KEPT = 64 }; /* freed streams that a worker keeps for others */

const uint8_t fs_h2_reading_table[FS_H2_READ_DISCARD + 1][FS_H2_READING_INPUTS] = {
    [FS_H2_READ_HEAD] = {FS_H2_READ_BODY, FS_H2_READ_DONE, FS_H2_READ_DISCARD, FS_H2_READ_DISCARD},
    [FS_H2_READ_BODY] = {FS_H2_READ_DISCARD, FS_H2_READ_DONE, FS_H2_READ_TUNNEL, FS_H2_READ_DISCARD},
    [FS_H2_READ_TUNNEL] = {FS_H2_READ_DISCARD, FS_H2_READ_DONE, FS_H2_READ_DISCARD, FS_H2_READ_DISCARD},
    [FS_H2_READ_DONE] = {FS_H2_READ_DONE, FS_H2_READ_DONE, FS_H2_READ_DONE, FS_H2_READ_DONE},
    [FS_H2_READ_DISCARD] = {FS_H2_READ_DISCARD, FS_H2_READ_DONE, FS_H2_READ_DISCARD, FS_H2_READ_DISCARD},
};

const uint8_t fs_h2_writing_table[FS_H2_WRITE_DONE + 1][FS_H2_WRITING_INPUTS] = {
    [FS_H2_WRITE_HEAD] = {FS_H2_WRITE_BODY, FS_H2_WRITE_NO_BODY, FS_H2_WRITE_DONE, FS_H2_WRITE_TUNNEL,
                          FS_H2_WRITE_DONE},
    [FS_H2_WRITE_BODY] = {FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_TRAILERS, FS_H2_WRITE_DONE,
                          FS_H2_WRITE_DONE},
    [FS_H2_WRITE_NO_BODY] = {FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE,
                             FS_H2_WRITE_DONE},
    [FS_H2_WRITE_TRAILERS] = {FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE,
                              FS_H2_WRITE_DONE},
    [FS_H2_WRITE_TUNNEL] = {FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE,
                            FS_H2_WRITE_DONE},
    [FS_H2_WRITE_DONE] = {FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE, FS_H2_WRITE_DONE},
};

static fs_h2_stream *take(fs_h2_shared *shared)
{
    fs_h2_stream *stream = shared->streams;

    if (!stream)
        return shared->allocator->resize(shared->allocator->ctx, NULL, sizeof *stream + shared->body_size);
    shared->streams = stream->next;
    shared->nstreams--;
    return stream;
}

fs_h2_stream *fs_h2_open_stream(fs_h2 *h2, int32_t id)
{
    fs_h2_shared *shared = h2->shared;
    fs_h2_stream *stream = take(shared);

    if (!stream)
        return NULL;
    *stream = (fs_h2_stream){.h2 = h2, .next = h2->streams, .id = id, .body_left = -1};
    stream->body = (fs_body_queue *)(void *)(stream + 1);
    shared->open_body(shared->ctx, stream->body);
    if (h2->streams)
        h2->streams->prev = stream;
    h2->streams = stream;
    h2->open++;
    stream->progress = stream->sent_at = h2->now;
    return stream;
}

void fs_h2_free_stream(fs_h2_stream *stream)
{
    fs_h2 *h2 = stream->h2;
    fs_h2_shared *shared = h2->shared;

    stream->body->clear(stream->body);
    if (stream->trailers)
        shared->allocator->release(shared->allocator->ctx, stream->trailers);
    *(stream->prev ? &stream->prev->next : &h2->streams) = stream->next;
    if (stream->next)
        stream->next->prev = stream->prev;
    h2->open--;
    if (!h2->open)
        h2->framed_at = h2->now; /* idle from now on, however long the last answer took */
    if (shared->nstreams == STREAMS_KEPT) {
        shared->allocator->release(shared->allocator->ctx, stream);
        return;
    }
    stream->next = shared->streams;
    shared->streams = stream;
    shared->nstreams++;
}

void fs_h2_tell(fs_h2_stream *stream, uint32_t what)
{
    fs_h2 *h2 = stream->h2;

    stream->flags |= what;
    if (stream->flags & FS_H2_READY)
        return;
    stream->flags |= FS_H2_READY;
    stream->ready = NULL;
    *h2->ready_end = stream;
    h2->ready_end = &stream->ready;
}

void fs_h2_end_response(fs_h2_stream *stream)
{
    fs_h2_writing_on(stream, FS_H2_ON_END);
    stream->stream.ended = 1;
    stream->stream.trailers_pending = 0;
    fs_h2_reading_on(stream, FS_H2_ON_IGNORE); /* nobody wants a body that still comes */
}
