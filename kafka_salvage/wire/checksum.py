"""Checksums of Kafka's structures, scalar: the second witness beside the kernels of `vector`.

CRC-32 (IEEE) is zlib's; CRC-32C (Castagnoli) is crcmod's. Neither shares code with the kernels.
"""

from __future__ import annotations

import zlib
from typing import Any

import crcmod.predefined

_castagnoli = crcmod.predefined.mkPredefinedCrcFun("crc-32c")


def crc32c(data: Any) -> int:
    """CRC-32C of a buffer, as in v2 batches and producer snapshots."""
    return int(_castagnoli(bytes(data)))


def crc32(data: Any) -> int:
    """CRC-32 of a buffer, as in v0 and v1 messages."""
    return zlib.crc32(data)
