"""The command `show`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from kafka_salvage.cli import exits, options

Row = dict[str, Any]
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_BATCH = (
    "baseOffset",
    "lastOffset",
    "count",
    "baseSequence",
    "lastSequence",
    "producerId",
    "producerEpoch",
    "partitionLeaderEpoch",
    "isTransactional",
    "isControl",
)
_KINDS = {"segment": "Log", "metadata-snapshot": "Metadata snapshot"}


@click.command("show", short_help="Print batches, records and entries of Kafka files of any kind.")
@options.paths_argument
@click.option("--records", is_flag=True, help="Print records too, not only batches.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines: one object per row; keys and values are base64.")
@click.option("--show-secrets", is_flag=True, help="Show credentials in the cluster's metadata log.")
@options.filters
@click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr.")
@click.option("-v", "--verbose", count=True, help="More on stderr; -vv adds tracebacks.")
def show(
    paths: tuple[str, ...],
    records: bool,
    as_json: bool,
    show_secrets: bool,
    quiet: bool,
    verbose: int,
    **flags: Any,
) -> int:
    """Prints what stands in segments, indexes, snapshots, checkpoints and other files of Kafka's.

    Damage is shown with its range, and the listing goes on behind it. Nothing is judged here: a batch may lie inside
    another one's payload, or out of place; check says what is believed.

    Exit codes: 0 every file shown was whole, 6 damage was met, 5 a file could not be opened, 2 no such path.
    """
    from kafka_salvage.integrity import listing  # all of `api` would take longer than most listings
    from kafka_salvage.integrity.choices import make_policy

    selection = make_policy(flags).selection  # type: ignore[arg-type] # click gives what Flags names
    listed = listing.show_lines if as_json else listing.show
    code = exits.Exit.INTACT
    lines: Callable[[Row], Iterator[str]] = _json_line if as_json else _text_lines
    for row in listed(paths, records=records, show_secrets=show_secrets, selection=selection):
        if not isinstance(row, dict):
            sys.stdout.flush()
            sys.stdout.buffer.write(row if isinstance(row, bytes) else row.data)  # many pieces of a MiB: not copied
            continue
        code = max(code, _code(row), key=_SEVERITY.index)
        if row["type"] == "unopened" and not quiet:
            sys.stdout.flush()
            click.echo(f"Error: {exits.safe(row['message'])}", err=True)
        for line in lines(row):
            sys.stdout.write(f"{line}\n")
    return int(code)


_SEVERITY = (exits.Exit.INTACT, exits.Exit.COVERED, exits.Exit.FAILED)


def _code(row: Row) -> exits.Exit:
    if row["type"] == "unopened":
        return exits.Exit.FAILED
    return exits.Exit.COVERED if row["type"] == "end" and not row["whole"] else exits.Exit.INTACT


def _json_line(row: Row) -> Iterator[str]:
    yield _encoded(row)


def _text_lines(row: Row) -> Iterator[str]:
    """A row in the words of kafka-dump-log."""
    yield from _PRINTERS[row["type"]](row)


def _file(row: Row) -> Iterator[str]:
    yield f"Dumping {exits.safe(row['file'])}"
    if row["kind"] in _KINDS:
        name = row["file"].rpartition("/")[2].partition(".")[0].partition("-")[0]
        yield f"{_KINDS[row['kind']]} starting offset: {int(name) if name.isdecimal() else 'unknown'}"


def _batch(row: Row) -> Iterator[str]:
    if row["magic"] >= 2:
        words = [f"{name}: {_word(row[name])}" for name in _BATCH]
        horizon = row["deleteHorizonMs"]
        words.append(f"deleteHorizonMs: {'OptionalLong.empty' if horizon is None else f'OptionalLong[{horizon}]'}")
    else:
        words = [f"offset: {row['lastOffset']}"]
        if row["count"] not in (None, 1):
            words.append(f"baseOffset: {row['baseOffset']} count: {row['count']}")
    words.append(f"position: {row['position']}")
    words.append(f"{row['timestampType']}: {-1 if row['timestamp'] is None else row['timestamp']}")
    words += [f"{name}: {_word(row[name])}" for name in ("size", "magic", "compresscodec", "crc", "isvalid")]
    yield " ".join(words)
    if "problem" in row:
        yield f"!! records of this batch do not come out: {row['problem']}: {exits.safe(row['problemDetail'])}"


def _record(row: Row) -> Iterator[str]:
    words = [
        f"| offset: {row['offset']}",
        f"{row['timestampType']}: {-1 if row['timestamp'] is None else row['timestamp']}",
        f"keySize: {_size(row['key'])} valueSize: {'masked' if 'masked' in row else _size(row['value'])}",
        f"sequence: {row['sequence']}",
        f"headerKeys: [{','.join(_header_key(header['key']) for header in row['headers'])}]",
    ]
    if "control" in row:
        words.append(_control(row["control"]))
    else:
        words.append(f"key: {_bytes(row['key'])}")
        words.append("payload: masked" if "masked" in row else f"payload: {_bytes(row['value'])}")
    if row["headers"]:
        words.append(f"headers: [{','.join(_bytes(header['value']) for header in row['headers'])}]")
    yield " ".join(words)


def _control(control: Row) -> str:
    if control["type"] in ("ABORT", "COMMIT"):
        return f"endTxnMarker: {control['type']} coordinatorEpoch: {_word(control['coordinatorEpoch'])}"
    fields = f" {exits.safe(json.dumps(control['fields'], sort_keys=True))}" if control.get("fields") else ""
    return f"control: {control['type']}({control.get('typeId', '?')}){fields}"


def _damaged(row: Row) -> Iterator[str]:
    words = [f"!! damaged: position: {row['start']} to {row['stop']} size: {row['size']} reason: {row['reason']}"]
    words += [f"{name}: {row[name]}" for name in ("crc", "computedCrc", "claimedSize") if name in row]
    yield " ".join(words) + " (not judged; see check)"


def _blank(row: Row) -> Iterator[str]:
    yield f"-- zeros to the end of the file: position: {row['start']} to {row['stop']} size: {row['size']}"


def _padding(row: Row) -> Iterator[str]:
    yield f"-- padding: {row['size']} zero bytes behind the entries; a broker counts {row['slots']} entries"


def _entry(row: Row) -> Iterator[str]:
    yield " ".join(f"{key}: {_word(value)}" for key, value in row.items() if key not in ("type", "file"))


def _problem(row: Row) -> Iterator[str]:
    yield f"!! {row['code']}: {exits.safe(row['message'])}"


def _end(row: Row) -> Iterator[str]:
    if not row["whole"] and "damaged" in row:
        yield f"!! {row['damaged']} bytes hold no batch, records of {row['problems']} batches do not come out"


def _unopened(row: Row) -> Iterator[str]:
    yield f"!! not opened: {exits.safe(row['message'])}"


_PRINTERS: dict[str, Callable[[Row], Iterator[str]]] = {
    "file": _file,
    "batch": _batch,
    "record": _record,
    "damaged": _damaged,
    "blank": _blank,
    "padding": _padding,
    "entry": _entry,
    "problem": _problem,
    "end": _end,
    "unopened": _unopened,
}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else exits.safe(value)


def _size(data: str | None) -> int:
    """Bytes of what was base64; -1 for null."""
    return -1 if data is None else len(data) // 4 * 3 - data.count("=", -2)


def _bytes(data: str | None) -> str:
    """Bytes as quoted text where they are UTF-8, else as base64; null is not the same as empty."""
    if data is None:
        return "null"
    import base64

    raw = base64.b64decode(data)
    try:
        return exits.safe(json.dumps(raw.decode(), ensure_ascii=False))
    except UnicodeDecodeError:
        return f"base64:{data}"


def _header_key(key: str | Row) -> str:
    return f"base64:{key['base64']}" if isinstance(key, dict) else exits.safe(json.dumps(key, ensure_ascii=False))
