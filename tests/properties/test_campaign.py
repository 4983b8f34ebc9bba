"""A small campaign with fixed seeds, and the damages that large ones once found the judgement wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import bases
from tests.support.campaign import draw_trials, run
from tests.support.holding import FLAWS
from tests.support.kinds import KINDS
from tests.support.trials import MODES, Field, Outcome, Trial

SINGLES, PAIRS = 870, 290

FOUND = (
    # a swapped batch's offsets were absent from a compacted ledger, or from its end
    ("0-thin-gzip", "full", 127, 3, "duplicate b8 b8.stop b9.stop; delete b8 b8.stop"),
    ("0-thin-gzip", "bare", 405, 3, "duplicate b7 b7.stop b8.stop; delete b7 b7.stop"),
    ("made-2-gzip", "bare", 136, 3, "duplicate b12 b12.stop b13.stop; delete b12 b12.stop"),
    # a doubted batch that ends in zeros reached into what was called blank
    ("made-1-gzip", "noindex", 61, 3, "insert 3627 0000000000000076000000eb000000000100000005000000070100; grow 4632"),
    # moved to where they chanced to fit
    ("1-thin-gzip", "lone", 510, 3, "duplicate b1 b1.stop b2.stop; delete b1 b1.stop; field 9 attributes ^0x40"),
    # a last batch that jumped was named nowhere; the next file's name proves one that only seems to jump
    ("made-1-gzip", "lone", 61, 3, "field 13 base_offset ^0x400"),
    ("0-none", "bare", 0, 3, "delete b159 b160.stop"),
    # a lone batch against its file's name
    ("2-txn", "lone", 155, 3, "field 0 base_offset ^0x2000000"),
    # epochs at the edges of files, and under zeros
    ("2-lat", "bare", 661, 6, "zero b0 b0+17"),
    ("made-2-snappy", "full", 68, 6, "zero b0 b0+16"),
    ("made-2-none", "bare", 0, 6, "field 13 epoch ^0x400"),
    ("2-txn", "lone", 0, 6, "field 0 epoch -562"),
    # an index entry inside a batch that begins too late; one that its batch moved onto
    ("made-2-none", "full", 0, 6, "field 4 base_offset ^0x4"),
    ("thin-1-lz4", "full", 144, 3, "field 8 base_offset ^0x2"),
    # guests: behind what a cut left of their host, and with the offset of the batch behind
    ("guests-0", "bare", 0, 3, "delete 838 1103"),
    ("guests-1", "bare", 0, 3, "noise 144 3 665531253"),
    ("guests-2", "bare", 0, 3, "cut 2026"),
    # payload that reads as a torn header, and is none: what follows is no payload of it
    ("2-all", "full", 250, 3, "delete b9 b9+21"),
    ("mix-none", "full", 457, 3, "delete b2 b2+21"),
    # claims that cover the next batches: up to the next file's name, up to an indexed batch
    ("0-lz4", "full", 0, 3, "field 7 length =2689; field 7 crc ^0x200000"),
    ("made-1-snappy", "full", 61, 3, "field 6 length =967; field 6 crc ^0x10"),
    # zeros that run from a base offset into the length
    ("thin-1-lz4", "bare", 0, 3, "zero b0 b0+12"),
    # a last file without a sane header; one that garbage of four bytes opens
    ("mix-none", "lone", 647, 3, "scramble 0 985 117765873"),
    ("made-2-zstd", "noindex", 68, 3, "field 13 count ^0x1000; noise 0 4 235622062"),
    # a delta that a damaged last batch tells wrongly
    ("made-2-none", "lone", 136, 3, "field 13 delta -4"),
    # findings that regions share
    ("made-0-none", "full", 28, 3, "grow 3502; field 13 key_length ^0x20000"),
)


def open_flaws(trial: Trial, outcome: Outcome, flaws: Sequence[str] = FLAWS) -> list[str]:
    return [f"{flaw} [{outcome.exit_code}] {trial}: {one}" for flaw in flaws for one in outcome.open(flaw)]


@pytest.mark.parametrize(("name", "mode", "first", "code", "recipe"), FOUND)
def test_what_campaigns_found(tmp_path: Path, name: str, mode: str, first: int, code: int, recipe: str) -> None:
    base = {**bases.small(), **bases.made()}[name]
    trial = Trial(base, mode, f"{first:020d}.log", ("found",), recipe.replace("; ", "\n"))
    assert trial.damaged.data != base.inner[trial.segment]
    outcome = run(trial, Field(tmp_path))
    assert open_flaws(trial, outcome) == []
    assert outcome.exit_code == code


def test_one_damage_at_a_time(tmp_path: Path) -> None:
    place = Field(tmp_path)
    known = [*bases.small().values(), *bases.made().values()]
    trials = list(draw_trials(17, SINGLES, known, list(KINDS), MODES, pairs=False))
    assert {trial.kinds[0] for trial in trials} == set(KINDS)
    assert [line for trial in trials for line in open_flaws(trial, run(trial, place))] == []


def test_two_damages_at_once(tmp_path: Path) -> None:
    place = Field(tmp_path)
    known = [*bases.small().values(), *bases.made().values()]
    trials = draw_trials(23, PAIRS, known, list(KINDS), MODES, pairs=True)
    wrong = [line for trial in trials for line in open_flaws(trial, run(trial, place), ("wrong", "account", "crash"))]
    assert wrong == []
