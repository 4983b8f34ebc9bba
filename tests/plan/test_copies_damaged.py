"""Three brokers' copies of real partitions, each damaged by itself: what is intact on one of them comes out."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support import cut_copies
from tests.support.copies_campaign import draw, run
from tests.support.corpus import scene
from tests.support.cut import CLEAN
from tests.support.kinds import KINDS

TRUTH = CLEAN / "cluster" / "truth"


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("brokers")
    cut_copies.lay(root)
    return root


@pytest.mark.parametrize("seed", range(10))
def test_whatever_harms_each_copy(brokers: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"copies/{seed}")
    result = run(draw(rng, brokers, list(KINDS), TRUTH), rng, tmp_path)
    assert result.wrong == [], "\n".join([*result.wrong, *result.harm])


@pytest.mark.corpus
@pytest.mark.parametrize("seed", range(8))
def test_the_whole_scene_with_every_copy_damaged(tmp_path: Path, seed: int) -> None:
    rng = random.Random(f"scene/{seed}")
    result = run(draw(rng, scene("modern-1", "cluster"), list(KINDS)), rng, tmp_path)
    assert result.wrong == [], "\n".join([*result.wrong, *result.harm])
