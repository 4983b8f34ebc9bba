"""The page docs/format.md, made from the layouts: `python -m kafka_salvage.wire.document` prints it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kafka_salvage.wire import (
    attributes,
    batch_legacy,
    batch_v2,
    control,
    offset_index,
    producer_snapshot,
    record_v2,
    time_index,
    txn_index,
    zookeeper,
)
from kafka_salvage.wire.compression.registry import CODECS
from kafka_salvage.wire.layout import Layout, table

SECTIONS: Sequence[tuple[str, str, Sequence[Layout]]] = (
    (
        "Batches",
        "A `.log` file is batches one after another, without a file header, padding or alignment; magics may be mixed. Byte 16 is "
        "the magic in all of them, and the int32 at 8 counts the bytes that follow it.",
        (batch_v2.LAYOUT, batch_legacy.LAYOUT_V0, batch_legacy.LAYOUT_V1),
    ),
    ("Records", "What follows the header of a batch of magic 2.", (record_v2.LAYOUT,)),
    (
        "Control records",
        "Batches with the control bit hold these; consumers never see them, yet each takes an offset.",
        (control.KEY_LAYOUT, control.MARKER_LAYOUT),
    ),
    (
        "Indexes and snapshots",
        "None is needed to recover data; all are evidence of what the broker believed.",
        (
            offset_index.LAYOUT,
            time_index.LAYOUT,
            txn_index.LAYOUT,
            producer_snapshot.HEADER_LAYOUT,
            producer_snapshot.LAYOUT,
        ),
    ),
    (
        "ZooKeeper",
        "Clusters before 4.0 may keep topics and configs in ZooKeeper. Strings and buffers are an int32 length and bytes.",
        (zookeeper.FILE_HEADER_LAYOUT, zookeeper.STAT_LAYOUT, zookeeper.TXN_LAYOUT),
    ),
)

_HEAD = """# Formats

Generated from `kafka_salvage/wire/` by `python -m kafka_salvage.wire.document`; do not edit. All numbers are big-endian; signed
unless the type begins with `u`. Timestamps are milliseconds since 1970.
"""

_TEXT_FILES = (
    (
        "`recovery-point-offset-checkpoint`, `replication-offset-checkpoint`, `log-start-offset-checkpoint`, `cleaner-offset-checkpoint`",
        "`0`, number of entries, then `topic partition offset` lines",
    ),
    ("`leader-epoch-checkpoint`", "`0`, number of entries, then `epoch start_offset` lines, both rising"),
    ("`partition.metadata`", "`version: 0`, `topic_id: ` and 22 characters"),
    ("`meta.properties`", "Java properties: `version`, `cluster.id`, `broker.id` or `node.id`, `directory.id`"),
    ("`quorum-state`", "one JSON object"),
    ("`.kafka_cleanshutdown`", "empty before 3.7, then one JSON object"),
)


def render() -> str:
    """The page's text."""
    parts = [_HEAD]
    for title, text, layouts in SECTIONS:
        parts += [f"## {title}\n", f"{text}\n", *(layout.markdown() for layout in layouts)]
        if layouts[0] is batch_v2.LAYOUT:
            bits = [(f"`{mask:#04x}`", name, magics, text) for mask, name, magics, text in attributes.BITS]
            parts += ["### Attribute bits\n", table(("mask", "bit", "magic", "meaning"), bits)]
    codecs = [(number, codec.name, f"{codec.lowest_magic} and above") for number, codec in CODECS.items()]
    parts += ["## Codecs\n", table(("id", "codec", "magic"), codecs)]
    parts += ["## Text files\n", table(("file", "content"), _TEXT_FILES)]
    return "\n".join(parts).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
