# wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

cdef class FileWrapper:
    """An iterable over the blocks of a file-like object. Returned as it is by the application, a real file is sent by
    the kernel in place of being read."""

    def __init__(self, filelike, block_size=8192):
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self.block_size)
        if block:
            return block
        raise StopIteration

    def close(self):
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


cdef tuple file_range(object filelike):
    """(owned descriptor, offset, size) of what is left to read of a regular file, None for everything else.

    Many an object has a fileno() and is no file: a GzipFile's is that of the compressed bytes. Only io's own classes
    are trusted."""
    raw = filelike.raw if isinstance(filelike, (io.BufferedReader, io.BufferedRandom)) else filelike
    if type(raw) is not io.FileIO or raw.closed:
        return None
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    offset = filelike.tell()
    # A descriptor of our own: the application may close its file before the queue has sent it.
    return own_descriptor(os.dup(raw.fileno())), offset, max(0, status.st_size - offset)
