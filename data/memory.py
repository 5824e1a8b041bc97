"""How the C library treats memory that is given back to it."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their numbers in glibc's malloc.h."""
_KEPT_BYTES = 256 << 20
_LARGEST_KEPT_BYTES = 128 << 20


def keep_freed_memory() -> None:
    """From now on this process uses freed memory again, where it would give it back and ask for it anew.

    A frame and what the detector makes of it are some megabytes that live for milliseconds: taking them from the system
    each time, which clears every page, costs up to a quarter of the time that decoding and searching take. What is
    kept, beyond what was once in use together, is bounded.
    """
    malloc_options = ctypes.CDLL(None).mallopt
    malloc_options(_TRIM_THRESHOLD, _KEPT_BYTES)
    malloc_options(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
