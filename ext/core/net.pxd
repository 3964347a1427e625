# What ext/core uses of ext/net. The contracts are in the headers.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from base cimport fs_allocator, fs_ip


cdef extern from "net/result.h" nogil:
    enum: FS_AGAIN


cdef extern from "net/poller.h" nogil:
    enum:
        FS_READABLE
        FS_WRITABLE
        FS_PEER_CLOSED
        FS_HANGUP
        FS_POLL_BATCH

    ctypedef struct fs_ready:
        void *watch
        uint32_t events

    ctypedef struct fs_poller:
        int fd
        uint64_t timer_due
        int wake_write

    int fs_poller_open(fs_poller *poller)
    void fs_poller_close(fs_poller *poller)
    int fs_poller_add(fs_poller *poller, int fd, void *watch)
    int fs_poller_add_reader(fs_poller *poller, int fd, void *watch)
    int fs_poller_add_listener(fs_poller *poller, int fd, void *watch, int shared)
    int fs_poller_remove(fs_poller *poller, int fd)
    int fs_poller_wait(fs_poller *poller, fs_ready *ready, int max, int timeout_ms)
    int fs_poller_collect(const fs_poller *poller, fs_ready *ready, int max, int timeout_ms)
    int fs_poller_sort_out(fs_poller *poller, fs_ready *ready, int count)
    int fs_poller_open_wake(fs_poller *poller)
    void fs_poller_wake(const fs_poller *poller)
    int fs_poller_set_timer(fs_poller *poller, uint64_t due_ms)
    uint64_t fs_monotonic_ms()
    int64_t fs_unix_seconds()
    void fs_clock_advance(fs_poller *poller, uint64_t ms)
    uint64_t fs_monotonic_us()


cdef extern from "net/log_file.h" nogil:
    ctypedef struct fs_log_file:
        pass

    void fs_log_file_open(fs_log_file *file, int fd)
    void fs_log_file_close(fs_log_file *file)
    ssize_t fs_log_file_write(const fs_log_file *file, const char *p, size_t n)
    void fs_log_file_wait(const fs_log_file *file, int timeout_ms)


cdef extern from "net/wheel.h" nogil:
    enum: FS_WHEEL_TICK_MS

    ctypedef struct fs_timer:
        fs_timer *prev
        fs_timer *next
        uint64_t due

    ctypedef struct fs_wheel:
        pass

    void fs_wheel_init(fs_wheel *wheel, uint64_t now_ms)
    void fs_wheel_arm(fs_wheel *wheel, fs_timer *timer, uint64_t due_ms)
    void fs_wheel_disarm(fs_wheel *wheel, fs_timer *timer)
    fs_timer *fs_wheel_expire(fs_wheel *wheel, uint64_t now_ms)
    uint64_t fs_wheel_next(const fs_wheel *wheel)


cdef extern from "net/outqueue.h" nogil:
    ctypedef struct fs_outpool:
        uint64_t live

    ctypedef struct fs_outnode:
        pass

    ctypedef struct fs_outqueue:
        fs_outnode *head
        uint64_t size

    void fs_outpool_init(fs_outpool *pool, const fs_allocator *allocator,
                         void (*retain)(void *owner) noexcept, void (*release)(void *owner) noexcept)
    void fs_outpool_free(fs_outpool *pool)
    void fs_outqueue_init(fs_outqueue *queue, fs_outpool *pool)
    char *fs_outqueue_reserve(fs_outqueue *queue, size_t n)
    void fs_outqueue_commit(fs_outqueue *queue, size_t n)
    int fs_outqueue_share(fs_outqueue *queue, const char *p, size_t n, void *owner)
    int fs_outqueue_file(fs_outqueue *queue, int fd, int64_t offset, uint64_t n, void *owner)
    int fs_outqueue_peek(fs_outqueue *queue, const char **p, size_t *n)
    void fs_outqueue_consume(fs_outqueue *queue, size_t n)
    int fs_outqueue_move(fs_outqueue *queue, fs_outqueue *to, uint64_t n)
    int fs_outqueue_flush(fs_outqueue *queue, int fd, uint64_t budget, uint64_t *sent)
    void fs_outqueue_clear(fs_outqueue *queue)


cdef extern from "net/relay.h" nogil:
    ctypedef struct fs_relay:
        unsigned depth
        unsigned woken
        int leader
        uint64_t taken

    int fs_relay_init(fs_relay *relay)
    void fs_relay_free(fs_relay *relay)
    void fs_relay_forget(fs_relay *relay)
    bint fs_relay_try(fs_relay *relay)
    void fs_relay_lock(fs_relay *relay)
    void fs_relay_unlock(fs_relay *relay)
    void fs_relay_rest(fs_relay *relay)
    bint fs_relay_can_wake(const fs_relay *relay)
    void fs_relay_wake(fs_relay *relay)
    void fs_relay_wake_all(fs_relay *relay)
    void fs_relay_lead(fs_relay *relay, int me)
    void fs_relay_begin_step(fs_relay *relay)
    bint fs_relay_end_step(fs_relay *relay, int me)
    void fs_relay_watch(fs_relay *relay)
    void fs_relay_end_watch(fs_relay *relay)
    int fs_relay_start_guard(fs_relay *relay, void (*held_up)(void *ctx) noexcept nogil, void *ctx)
    void fs_relay_end_guard(fs_relay *relay)


cdef extern from "net/socket.h" nogil:
    enum:
        FS_FAMILY_OTHER
        FS_FAMILY_INET
        FS_FAMILY_INET6
        FS_FAMILY_UNIX
        FS_ADDRESS_TEXT

    ctypedef struct fs_address:
        uint8_t family
        uint16_t port
        uint8_t ip[16]

    int fs_accept(int listener, fs_address *peer)
    int fs_listener_prepare(int listener)
    int fs_local_address(int fd, fs_address *address)
    int fs_peer_address(int fd, fs_address *address)
    bint fs_address_ip(const fs_address *address, fs_ip *ip)
    size_t fs_address_format(const fs_address *address, char *text)
    ssize_t fs_recv(int fd, void *buffer, size_t size)
    int fs_shutdown_write(int fd)
    int fs_unsent(int fd)
    int fs_delivered(int fd)
    int64_t fs_quiet_ms(int fd)
    void fs_close(int fd)
    void fs_close_reset(int fd)
    void fs_close_for_all(int fd, bint reset)


cdef extern from "net/handover.h" nogil:
    ctypedef struct fs_handover:
        uint64_t number
        uint64_t listener
        fs_address peer

    int fs_hand_over(int to, int fd, const fs_handover *handover)
    int fs_take_over(int mailbox, fs_handover *handover)
    int fs_mailbox_shut(int mailbox)
