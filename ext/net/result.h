#ifndef FS_NET_RESULT_H
#define FS_NET_RESULT_H

/*
 * What a call of ext/net returns: zero or more for success, or the negated
 * errno. EAGAIN and EWOULDBLOCK come back as FS_AGAIN, EINTR never comes back
 * (the call is made again).
 */
#define FS_AGAIN (-11) /* -EAGAIN on Linux */

#endif
