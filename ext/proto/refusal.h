#ifndef FS_PROTO_REFUSAL_H
#define FS_PROTO_REFUSAL_H

#include "stream.h"

/*
 * Answers a stream that has no head yet with an error's status and a short text.
 * FS_OK, or the result of the stream's head() or body().
 */
int fs_answer_error(fs_stream *stream, int error);

#endif
