#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4(2) */
#endif

#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Without sockaddr_un: the kernel truncates a path, of which nothing is kept. */
typedef union socket_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} socket_name;

static void address_from_name(fs_address *address, const socket_name *name)
{
    memset(address, 0, sizeof *address);
    switch (name->any.sa_family) {
    case AF_INET:
        address->family = FS_FAMILY_INET;
        address->port = ntohs(name->in.sin_port);
        memcpy(address->ip, &name->in.sin_addr, sizeof name->in.sin_addr);
        break;
    case AF_INET6:
        address->family = FS_FAMILY_INET6;
        address->port = ntohs(name->in6.sin6_port);
        memcpy(address->ip, &name->in6.sin6_addr, sizeof name->in6.sin6_addr);
        break;
    case AF_UNIX:
        address->family = FS_FAMILY_UNIX;
        break;
    default:
        address->family = FS_FAMILY_OTHER;
    }
}

int fs_accept(int listener, fs_address *peer)
{
    socket_name name;
    socklen_t size;
    int fd;

    do {
        size = sizeof name;
        fd = accept4(listener, &name.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    address_from_name(peer, &name);
    return fd;
}

int fs_listener_prepare(int listener)
{
    fs_address address = {.family = FS_FAMILY_OTHER};
    const int on = 1;
    int flags, error;

    error = fs_local_address(listener, &address);
    if (error < 0)
        return error;
    flags = fcntl(listener, F_GETFL);
    if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    if (address.family != FS_FAMILY_INET && address.family != FS_FAMILY_INET6)
        return 0; /* only TCP has the option */
    return setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? -errno : 0;
}

int fs_local_address(int fd, fs_address *address)
{
    socket_name name;
    socklen_t size = sizeof name;

    if (getsockname(fd, &name.any, &size) < 0)
        return -errno;
    address_from_name(address, &name);
    return 0;
}

int fs_peer_address(int fd, fs_address *address)
{
    socket_name name;
    socklen_t size = sizeof name;

    if (getpeername(fd, &name.any, &size) < 0)
        return -errno;
    address_from_name(address, &name);
    return 0;
}

int fs_address_ip(const fs_address *address, fs_ip *ip)
{
    if (address->family == FS_FAMILY_INET)
        *ip = fs_ip_from_v4(address->ip);
    else if (address->family == FS_FAMILY_INET6)
        memcpy(ip->bytes, address->ip, sizeof ip->bytes);
    else
        return 0;
    return 1;
}

size_t fs_address_format(const fs_address *address, char text[FS_ADDRESS_TEXT])
{
    fs_ip ip;

    if (fs_address_ip(address, &ip))
        return fs_ip_write(&ip, text);
    text[0] = '\0';
    return 0;
}

ssize_t fs_recv(int fd, void *buffer, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, buffer, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int fs_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

int fs_unsent(int fd)
{
    int unsent;

    return ioctl(fd, SIOCOUTQ, &unsent) < 0 ? -errno : unsent;
}

int fs_delivered(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    int error = 0;
    socklen_t error_length = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_length) == 0 && error)
        return -error;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_state == TCP_CLOSE)
        return 1;
    return fs_unsent(fd) == 0;
}

int64_t fs_quiet_ms(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
        length < offsetof(struct tcp_info, tcpi_last_data_recv) + sizeof info.tcpi_last_data_recv)
        return -1;
    return info.tcpi_last_data_recv;
}

void fs_close(int fd)
{
    /* Linux frees the descriptor whatever close(2) returns; a second attempt could close somebody else's. */
    (void)close(fd);
}

void fs_close_reset(int fd)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    /* Without the option, a plain close has to do. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    fs_close(fd);
}

void fs_close_for_all(int fd, int reset)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    /* Disconnecting a TCP socket resets its connection. No other socket can be disconnected. */
    if (!reset || connect(fd, &nobody, sizeof nobody) < 0)
        (void)shutdown(fd, SHUT_RDWR);
    fs_close(fd);
}
