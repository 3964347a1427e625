#ifndef FS_PROTO_H2_GUARD_H
#define FS_PROTO_H2_GUARD_H

#include "h2.h"

/*
 * Counts what a client may send at will and at no cost, before nghttp2 sees it:
 * resets (CVE-2023-44487), CONTINUATION without end, SETTINGS, PING, PRIORITY,
 * empty DATA and tiny windows (CVE-2019-9511 to 9518), and whatever makes the
 * server reset streams itself (CVE-2025-8671).
 */

void fs_h2_guard_init(fs_h2 *h2, uint64_t now);

/*
 * How many of the n bytes at p may be given to nghttp2 at once: up to the end of a
 * frame. A frame's head is judged as soon as it is complete. FS_E_H2_FLOOD: this
 * frame is too much. FS_E_H2_CONNECTION: it is not allowed here.
 */
int64_t fs_h2_guard_run(fs_h2 *h2, const char *p, size_t n);

/* Counts a stream that we have reset for a fault of the peer's. FS_OK or FS_E_H2_FLOOD. */
int fs_h2_guard_reset(fs_h2 *h2);

/* Credits a request: the frames that go with it are free. */
void fs_h2_guard_earned(fs_h2 *h2);

/* Credits a DATA frame that has brought something to somebody, however little: the WINDOW_UPDATE and PING frames that
 * go with it are free, and nothing else. */
void fs_h2_guard_carried(fs_h2 *h2);

/* Credits a DATA frame of an answer, of n bytes, with `left` still queued. A small piece that the peer's window has cut
 * earns nothing: otherwise an answer would pay for being sent a byte at a time (CVE-2019-9511). */
void fs_h2_guard_sent(fs_h2 *h2, size_t n, uint64_t left);

#endif
