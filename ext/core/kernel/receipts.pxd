# What is noted of an answer that was given and is still in transit.
cdef class Receipt:
    cdef Receipt next                   # the receipts of later answers
    cdef object client                  # for the log; None if there is no line to write
    cdef object method
    cdef object raw_path
    cdef object query
    cdef int version
    cdef int status                     # of the answer
    cdef bint counts                    # it still has to be counted among the responses and durations
    cdef bint has_line                  # the access log gets a line
    cdef uint64_t size                  # bytes of the body that were given
    cdef uint64_t dropped               # those of them that never left the stream (HTTP/2)
    cdef uint64_t started_us            # monotonic, for the line
    cdef uint64_t begun_us              # and for the duration
    cdef uint64_t end                   # the answer's last byte among all that the connection has queued
    cdef uint64_t wire_end              # TLS: the same among the wire's bytes; 0 before it is encrypted
    cdef fs_h2_stream *stream           # HTTP/2: until the answer is framed; not owned, refers to this receipt
