"""A file's octets in memory, read as they are looked at, without a descriptor that is held for as long.

Python's own `mmap` keeps one for each file that is mapped (until 3.13). A server of hundreds of large zones would need
as many descriptors as that, in each process, beside those that it reckons with (`server.net.descriptors`).
"""

from __future__ import annotations

import mmap
import os
from typing import Any, BinaryIO

import cffi

_ffi = cffi.FFI()
_ffi.cdef("""
void *mmap(void *address, size_t length, int protection, int flags, int file, long offset);
int munmap(void *address, size_t length);
int madvise(void *address, size_t length, int advice);
""")
_library: Any = _ffi.dlopen(None)
_FAILED = _ffi.cast("void *", -1)


class MappedFile:
    """The octets of a file that is never written again; mapped for as long as somebody looks at them."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` may be closed afterwards. Raises `OSError`, and `ValueError` for an empty one."""
        self._size = os.fstat(file.fileno()).st_size
        if not self._size:
            raise ValueError("the file is empty")
        place = _library.mmap(_ffi.NULL, self._size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if place == _FAILED:
            raise OSError(_ffi.errno, os.strerror(_ffi.errno))
        self._place = _ffi.gc(place, lambda place, size=self._size: _library.munmap(place, size))

    @property
    def octets(self) -> memoryview:
        """All of them."""
        return memoryview(_ffi.buffer(self._place, self._size)).toreadonly()

    def is_not_needed_now(self) -> None:
        """Let what was read count as this process's memory no more. It is read again where it is needed."""
        _library.madvise(self._place, self._size, mmap.MADV_DONTNEED)
