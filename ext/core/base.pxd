# What ext/core uses of ext/base. The contracts are in the headers.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "base/slice.h" nogil:
    ctypedef struct fs_slice:
        const char *p
        size_t n


cdef extern from "base/ip.h" nogil:
    ctypedef struct fs_ip:
        uint8_t bytes[16]
    enum: FS_IP_TEXT
    bint fs_ip_read(const char *p, size_t n, fs_ip *ip)
    size_t fs_ip_write(const fs_ip *ip, char *text)
    bint fs_ip_equal(const fs_ip *a, const fs_ip *b)


cdef extern from "base/allocator.h" nogil:
    ctypedef struct fs_allocator:
        pass
    const fs_allocator fs_system_allocator


cdef extern from "base/bucket.h" nogil:
    ctypedef struct fs_bucket:
        pass

    void fs_bucket_init(fs_bucket *bucket, uint32_t burst, uint32_t rate, uint64_t now)
    bint fs_bucket_take(fs_bucket *bucket, uint64_t now)
