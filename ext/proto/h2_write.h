#ifndef FS_PROTO_H2_WRITE_H
#define FS_PROTO_H2_WRITE_H

#include "h2.h"

#include <nghttp2/nghttp2.h>

/* The half of the machine that writes answers. */

extern const fs_stream_ops fs_h2_ops;

/* nghttp2 asks for the next DATA frame of a stream, then for its bytes. */
ssize_t fs_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                        nghttp2_data_source *source, void *user_data);
int fs_h2_send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                    nghttp2_data_source *source, void *user_data);

/* Makes frames into the sink until there are no more or `room` bytes were made. FS_OK or FS_E_NOMEM. */
int fs_h2_make_frames(fs_h2 *h2, uint64_t room);

/* Tells nghttp2 of bytes that were written into tunnels. */
void fs_h2_resume_tunnels(fs_h2 *h2);

/* Copies bytes to the connection's sink. FS_OK or FS_E_NOMEM. */
int fs_h2_queue(fs_h2 *h2, const void *p, size_t n);

#endif
