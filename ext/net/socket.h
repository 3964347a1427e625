#ifndef FS_NET_SOCKET_H
#define FS_NET_SOCKET_H

#include "base/ip.h"
#include "result.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Calls on connected and listening stream sockets. All are non-blocking and
 * close-on-exec. Sockets are made and bound in Python, off the hot path.
 */

enum { FS_FAMILY_OTHER = 0, FS_FAMILY_INET, FS_FAMILY_INET6, FS_FAMILY_UNIX };

/* An address in 20 bytes, where sockaddr_storage takes 128: every connection keeps its peer's. */
typedef struct fs_address {
    uint8_t family;               /* FS_FAMILY_* */
    uint16_t port;                /* host order */
    uint8_t ip[16];               /* network order; 4 bytes for INET */
} fs_address;

/* The largest text that fs_address_format writes, with its NUL. */
#define FS_ADDRESS_TEXT FS_IP_TEXT

/*
 * The connected descriptor (TCP_NODELAY comes from the listener) or -errno.
 * FS_AGAIN: nobody waits. -EMFILE, -ENFILE, -ENOBUFS and -ENOMEM: the connection
 * stays in the backlog and the listener stays ready, so the caller pauses for a
 * while. Everything else (-ECONNABORTED, -EPROTO, -EPERM and the network errors of
 * accept(2)) concerns one connection that is already gone: the caller skips it
 * and goes on.
 */
int fs_accept(int listener, fs_address *peer);

/* Sets TCP_NODELAY (inherited by accepted sockets) and O_NONBLOCK on a listener. 0 or -errno. */
int fs_listener_prepare(int listener);

int fs_local_address(int fd, fs_address *address);
int fs_peer_address(int fd, fs_address *address);

/* The address itself: 1, or 0 for UNIX and OTHER, which have none. */
int fs_address_ip(const fs_address *address, fs_ip *ip);

/* The numeric host as text, without port; returns its length, 0 for UNIX and OTHER. An IPv4-mapped
 * IPv6 address comes out as IPv4. */
size_t fs_address_format(const fs_address *address, char text[FS_ADDRESS_TEXT]);

/* Bytes received, 0 at the peer's FIN, FS_AGAIN or -errno. */
ssize_t fs_recv(int fd, void *buffer, size_t size);

/* FIN: no more will be sent. */
int fs_shutdown_write(int fd);

/* Bytes in the socket's send buffer that the peer has not acknowledged (for a Unix socket: has
 * not read, the kernel's own overhead included), or -errno. */
int fs_unsent(int fd);

/*
 * Whether the peer has acknowledged everything, including FIN: 1, 0 not yet, -errno if it has reset the connection
 * before that. Of anything but TCP nothing is known beyond what send() said: 1.
 */
int fs_delivered(int fd);

/* Milliseconds since the last byte came from the peer, -1 if unknown: only TCP reports it. */
int64_t fs_quiet_ms(int fd);

void fs_close(int fd);
/* Close by RST (SO_LINGER 0). */
void fs_close_reset(int fd);
/* Closes a socket that other processes may also have, with RST if `reset`: the end goes out although they keep it. */
void fs_close_for_all(int fd, int reset);

#endif
