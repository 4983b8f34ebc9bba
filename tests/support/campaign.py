"""Campaign: damages partition directories thousandfold and holds the package to what truly lay there.

Run `python -m tests.support.campaign --seed 1 --count 1000`. Each trial damages one segment by one drawn recipe (or two),
checks the directory deep, and compares what a salvage would write with the batches as they were:

- wrong: a batch that never was is written, or one at another offset, twice, or with another epoch;
- unnamed: an original offset is not written, and the ledger says nothing of it;
- quiet: something is not written, and the exit code says that nothing is lost;
- over-loss: a batch none of whose bytes was changed is not written;
- account: the byte map or the count of absent offsets does not add up; crash: an exception.

What no tool can decide from the bytes it has is counted apart, as undecided; ``--arguments`` tells why how often.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import bases
from tests.support.bases import Base
from tests.support.holding import FLAWS, judge
from tests.support.kinds import KINDS
from tests.support.trials import MODES, Field, Outcome, Trial, survey


def draw_trials(
    seed: int, count: int, names: Sequence[Base], kinds: Sequence[str], modes: Sequence[str], pairs: bool
) -> Iterator[Trial]:
    """Trials in turn over kinds, bases and modes, so that each meets each."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        base = names[number // len(kinds) % len(names)]
        mode = modes[(number // (len(kinds) * len(names)) + number) % len(modes)]
        chosen = [kinds[number % len(kinds)]] + ([rng.choice(list(kinds))] if pairs else [])
        segment = rng.choice(base.segments)
        infos, size = base.batches[segment], len(base.inner[segment])
        size = infos[-1].stop if rng.random() < 0.95 else size
        recipe = "\n".join(KINDS[kind](rng, infos, size, len(base.other)) for kind in chosen)
        yield Trial(base, mode, segment, tuple(chosen), recipe)


def run(trial: Trial, place: Field) -> Outcome:
    """One trial."""
    root = place.lay(trial)
    try:
        return judge(trial, survey(root))
    except Exception as error:  # noqa: BLE001 - the flaw that is looked for
        result = Outcome()
        result.add("crash", f"{type(error).__name__}: {error}")
        return result
    finally:
        place.heal(trial, root)


class Table:
    """Sums by kind and base."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.arguments: Counter[tuple[str, str]] = Counter()

    def add(self, trial: Trial, outcome: Outcome) -> None:
        row = self.sums["+".join(trial.kinds[:1]), trial.base.name]
        row["trials"] += 1
        settled = False
        for flaw in FLAWS:
            row[flaw] += bool(outcome.open(flaw))
            settled = settled or bool(outcome.flaws.get(flaw) and not outcome.open(flaw))
            self.arguments.update((flaw, argument) for argument in outcome.arguments(flaw) if argument)
        row["flawed"] += any(outcome.open(flaw) for flaw in FLAWS)
        row["undecided"] += settled

    def lines(self, by: int) -> Iterator[str]:
        rows: dict[str, Counter[str]] = {"all": Counter()}
        for key, sums in self.sums.items():
            rows.setdefault(key[by], Counter()).update(sums)
            rows["all"].update(sums)
        columns = ("trials", *FLAWS, "flawed", "undecided")
        yield f"{'':16s}" + "".join(f"{name:>10s}" for name in columns)
        for name, sums in rows.items():
            yield f"{name:16s}" + "".join(f"{sums[column] or '.':>10}" for column in columns)


def main(words: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="tests.support.campaign", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kinds", default="", help="comma-separated; all unless told")
    parser.add_argument("--bases", default="", help="comma-separated names; all that are there unless told")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--pairs", action="store_true", help="two damages at once")
    parser.add_argument("--show", type=int, default=20, help="flaws shown in full")
    parser.add_argument("--flaws", default=",".join(FLAWS), help="flaws that are shown")
    parser.add_argument("--arguments", action="store_true", help="count the arguments of what is undecided")
    told = parser.parse_args(words)
    known = {**bases.small(), **bases.large(), **bases.made()}
    chosen = [known[name] for name in told.bases.split(",")] if told.bases else list(known.values())
    kinds = told.kinds.split(",") if told.kinds else list(KINDS)
    table, shown, began = Table(), 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=_fast_disk()) as folder:
        place = Field(Path(folder))
        for trial in draw_trials(told.seed, told.count, chosen, kinds, told.modes.split(","), told.pairs):
            outcome = run(trial, place)
            table.add(trial, outcome)
            for flaw in told.flaws.split(","):
                sentences = outcome.open(flaw)
                if shown < told.show and sentences:
                    shown += 1
                    say(f"{flaw} [{outcome.exit_code}] {trial}", *(f"    {one}" for one in sentences[:4]))
    for by in (0, 1):
        say(*table.lines(by))
    if told.arguments:
        say(*(f"{count:6d} {flaw:10s} {argument}" for (flaw, argument), count in table.arguments.most_common()))
    say(f"{told.count} trials in {time.monotonic() - began:.0f} s")
    return int(any(sums[flaw] for sums in table.sums.values() for flaw in FLAWS))


def say(*lines: str) -> None:
    """Prints lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _fast_disk() -> str | None:
    memory = Path("/dev", "shm")
    return str(memory) if memory.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
