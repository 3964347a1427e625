#ifndef FS_NET_HANDOVER_H
#define FS_NET_HANDOVER_H

#include "result.h"
#include "socket.h"

#include <stdint.h>

/*
 * A connection that is accepted in one process and served in another. Its
 * descriptor goes through a pair of Unix sockets that keep messages apart
 * (SOCK_SEQPACKET): whoever has one end hands over, and the worker with the other
 * end, its mailbox, takes over. The contents of a mailbox survive both processes,
 * as long as anybody has the mailbox open.
 */

typedef struct fs_handover {
    uint64_t number;             /* unique: identifies a message that is seen twice */
    uint64_t listener;           /* the name of the listener that accepted it */
    fs_address peer;
} fs_handover;

/*
 * 0: the connection is in the mailbox, and the caller closes `fd`. Otherwise
 * nothing has happened: FS_AGAIN and -ETOOMANYREFS if there is no room, -EPIPE if
 * the mailbox takes nothing any more, or another -errno.
 */
int fs_hand_over(int to, int fd, const fs_handover *handover);

/*
 * The next connection's descriptor, FS_AGAIN if none is left, or -errno.
 * -EMFILE: this process has no descriptor left, and the connection stays in the
 * mailbox. Any other error concerns one message, which is gone. Another process
 * may read the same mailbox meanwhile: each connection comes once.
 */
int fs_take_over(int mailbox, fs_handover *handover);

/*
 * Lets no process put anything more into the mailbox; what it holds can still be
 * taken, so that no connection can be missed in between. 0 or -errno.
 */
int fs_mailbox_shut(int mailbox);

#endif
