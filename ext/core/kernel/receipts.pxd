# What is noted of an answer that has been given and is still on its way.
cdef class Receipt:
    cdef Receipt next                   # those that were given later
    cdef object client                  # for the log; None where there is no line to write
    cdef object method
    cdef object raw_path
    cdef object query
    cdef int version
    cdef int status                     # of the answer
    cdef bint counts                    # it is still to be counted among the responses and durations
    cdef bint told                      # it has a line
    cdef uint64_t size                  # bytes of the body that were given
    cdef uint64_t dropped               # and of them those that never left the stream (HTTP/2)
    cdef uint64_t started_us            # monotonic, for the line
    cdef uint64_t begun_us              # and for the duration
    cdef uint64_t end                   # the answer's last byte among all that the connection has queued
    cdef uint64_t wire_end              # TLS: and among those of the wire; 0 before it is enciphered
    cdef fs_h2_stream *stream           # HTTP/2: until all of it is framed; it knows this receipt, which owns nothing of it
