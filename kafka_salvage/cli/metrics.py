"""Metrics: progress as a Prometheus textfile; names begin with kafka_salvage_, units are bytes, seconds and counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from kafka_salvage import __version__
from kafka_salvage.progress import Figures

PREFIX = "kafka_salvage"
Sample = tuple[dict[str, str], float | None]


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _value(value: float | None) -> str:
    return "NaN" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def _family(name: str, kind: str, help_: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {PREFIX}_{name} {help_}", f"# TYPE {PREFIX}_{name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_label(text)}"' for key, text in sorted(labels.items()))
        lines.append(f"{PREFIX}_{name}{f'{{{inside}}}' if inside else ''} {_value(value)}")
    return lines


def render(stages: Sequence[Figures], verb: str, begun: float, now: float, code: int | None, *, running: bool) -> str:
    """The content of the file.

    Args:
        stages: last figures of each stage, in order; at least one.
        verb: the command.
        begun: seconds since 1970.
        now: likewise.
        code: the exit code, None while it is not known.
        running: whether the command still works.
    """
    last = stages[-1]

    def each(name: str) -> list[Sample]:
        return [({"stage": figures.stage}, getattr(figures, name)) for figures in stages]

    def one(value: float | None) -> list[Sample]:
        return [({}, value)]

    families: list[tuple[str, str, str, list[Sample]]] = [
        ("info", "gauge", "Version and command of the run.", [({"version": __version__, "command": verb}, 1)]),
        ("running", "gauge", "Whether the command is at work (1) or over (0).", one(int(running))),
        ("start_time_seconds", "gauge", "When the run began, seconds since 1970.", one(begun)),
        ("update_time_seconds", "gauge", "When these figures were written, seconds since 1970.", one(now)),
        ("processed_bytes_total", "counter", "Bytes of evidence that are done, by stage.", each("done")),
        ("resumed_bytes_total", "counter", "Bytes among them that an interrupted run had done.", each("skipped")),
        ("planned_bytes", "gauge", "Bytes of evidence to be done, by stage.", each("total")),
        ("processed_records_total", "counter", "Records passed, by stage.", each("records")),
        ("damaged_bytes", "gauge", "Bytes found damaged so far.", one(last.damaged)),
        ("lost_offsets", "gauge", "Log offsets lost with them so far.", one(last.lost)),
        ("remaining_seconds", "gauge", "Time left over all stages; NaN while unknown.", one(last.eta)),
        ("remaining_soonest_seconds", "gauge", "Lower end of the range of the time left.", one(last.soonest)),
        ("remaining_latest_seconds", "gauge", "Upper end of the range of the time left.", one(last.latest)),
    ]
    if code is not None:
        families.append(("exit_code", "gauge", "Exit code of the run.", one(code)))
    return "\n".join(line for family in families for line in _family(*family)) + "\n"


def exchange(path: Path, text: str) -> None:
    """Puts ``text`` in place of the file in one step; a reader sees the old or the new content, never a part.

    Raises:
        OSError: it could not be written; the file is as it was.
    """
    temporary = path.with_name(f".{path.name}.partial")  # one name: what a kill left is written over
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
