#ifndef FS_NET_HANDOVER_H
#define FS_NET_HANDOVER_H

#include "result.h"
#include "socket.h"

#include <stdint.h>

/*
 * A connection that was accepted in one process and is served in another. Its
 * descriptor goes through a pair of Unix sockets that keep messages apart
 * (SOCK_SEQPACKET): whoever has the one end hands over, the worker with the
 * other end, its mailbox, takes. What lies in a mailbox survives both of them,
 * as long as anybody has the mailbox open.
 */

typedef struct fs_handover {
    uint64_t number;             /* no other message has it: one that is seen twice is known by it */
    uint64_t listener;           /* the name of the listener that accepted it */
    fs_address peer;
} fs_handover;

/*
 * 0: the connection lies in the mailbox, and `fd` is the caller's to close.
 * Otherwise nothing has happened: FS_AGAIN and -ETOOMANYREFS where there is no
 * room, -EPIPE where the mailbox takes nothing any more, or another -errno.
 */
int fs_hand_over(int to, int fd, const fs_handover *handover);

/*
 * The next connection's descriptor, FS_AGAIN where none is left, or -errno.
 * -EMFILE: this process has no descriptor for it, and it stays where it is.
 * Any other error concerns one message, which is gone. Somebody else may read
 * the same mailbox meanwhile: each connection comes once.
 */
int fs_take_over(int mailbox, fs_handover *handover);

/*
 * From here on nobody puts anything into it, in no process, and what it holds
 * can still be taken: there is no moment at which something could be missed.
 * 0 or -errno.
 */
int fs_mailbox_shut(int mailbox);

#endif
