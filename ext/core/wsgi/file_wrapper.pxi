# wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").

cdef class FileWrapper:
    """An iterable over the blocks of a file-like object. If the application returns it unchanged, and it wraps a real
    file, the kernel sends the file from its position on, and nobody reads it. It has `seekable`, `seek` and `tell` if
    the object has them: Werkzeug uses them for ranges."""

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

    def __getattr__(self, name):
        if name in ("seekable", "seek", "tell"):
            return getattr(self.filelike, name)
        raise AttributeError(f"a wsgi.file_wrapper has no attribute {name!r}")

    def close(self):
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


cdef bint reads_itself(object file) except -1:
    """Whether somebody has overridden how this object of io's reads."""
    return not vars(file).keys().isdisjoint(("read", "readinto", "readall"))


cdef tuple file_range(object filelike):
    """Returns (owned descriptor, offset, size) of the rest of a regular file, None for everything else.

    Many objects have a fileno() and are not that file: a GzipFile's leads to the compressed bytes, and a subclass of
    io's may read something else, or less. Only io's own classes are trusted. A file that reports no rest may still have
    one: files in /proc report 0 bytes, and a growing file may have grown."""
    buffered = type(filelike) is io.BufferedReader or type(filelike) is io.BufferedRandom
    raw = filelike.raw if buffered else filelike
    if type(raw) is not io.FileIO or raw.closed or reads_itself(raw) or buffered and reads_itself(filelike):
        return None
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    offset = filelike.tell()
    if offset >= status.st_size:
        return None
    # A descriptor of our own: the application may close its file before the queue has sent it.
    return own_descriptor(os.dup(raw.fileno())), offset, status.st_size - offset
