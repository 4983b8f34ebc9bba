"""Magic: outside the CRC, so that nothing but the header tells a batch whose magic was changed from its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from kafka_salvage.scan.walk import Fold, StopReason, walk, walk_folded
from kafka_salvage.source.memory import MemorySource
from tests.support.build import segment


@pytest.mark.parametrize("magic", [0, 1, 3, 6, 130, 255])
@pytest.mark.parametrize("at", [1, 2, 3, 7])
def test_a_changed_magic_is_never_folded(magic: int, at: int) -> None:
    data, infos = segment(12, per_batch=1, size=60)
    changed = bytearray(data)
    changed[infos[at].start + 16] = magic
    source = MemorySource(bytes(changed))
    plain = [block.stop for block in walk(source)][-1]
    folded = [block.stop for block in walk_folded(source, 0, Fold(np.empty(0, np.int64)))][-1]
    assert plain is not None
    assert plain.position == infos[at].start
    assert plain.reason in (StopReason.CRC_MISMATCH, StopReason.BAD_MAGIC)
    assert folded == plain
