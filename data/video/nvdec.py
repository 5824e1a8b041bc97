"""What limits the videos that a GPU works on at once: its NVDEC engines, each of which decodes one video at a time, and
its memory.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

_H264 = 4
_CHROMA_420 = 1
_UNKNOWN = 4
"""Number of engines assumed if the driver does not report it."""


class _DecoderCapabilities(ctypes.Structure):
    """`CUVIDDECODECAPS` of `cuviddec.h` (NVIDIA Video Codec SDK 13.0)."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma_format", ctypes.c_int),
        ("bit_depth_minus_8", ctypes.c_uint),
        ("reserved_1", ctypes.c_uint * 3),
        ("is_supported", ctypes.c_ubyte),
        ("num_engines", ctypes.c_ubyte),
        ("output_formats", ctypes.c_ushort),
        ("rest", ctypes.c_uint * 15),
    )


@cache
def num_engines() -> int:
    """The NVDEC engines of the GPU in use that decode H.264."""
    asked = _DecoderCapabilities(codec=_H264, chroma_format=_CHROMA_420)
    try:
        library = ctypes.CDLL("libnvcuvid.so.1")
        torch.zeros(1, device="cuda")  # the driver answers for the current context
        failed = library.cuvidGetDecoderCaps(ctypes.byref(asked))
    except OSError:
        return _UNKNOWN
    return int(asked.num_engines) if not failed and asked.num_engines else _UNKNOWN


def free_gpu_bytes() -> int:
    """Memory that programs may still take from the GPU in use; unlimited without one."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else sys.maxsize
