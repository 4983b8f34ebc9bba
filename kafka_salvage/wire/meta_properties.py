"""MetaProperties: `meta.properties`, which node and cluster a log dir belongs to.

Source: `MetaProperties.java`, `PropertiesUtils.java`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kafka_salvage.wire.java_text import INT32_MAX, parse_int, read_properties
from kafka_salvage.wire.uuids import RESERVED_DIRECTORIES, read_uuid, uuid_text


@dataclass(frozen=True, slots=True)
class MetaProperties:
    """What the file says. Fields that could be read are given even when there is a problem.

    Attributes:
        version: 0 or 1; None when it is neither.
        cluster_id: text; None when not stated.
        node_id: `node.id` or `broker.id`; None when not stated.
        directory_id: 22 characters; None when not stated.
        properties: every key and value.
        problem: why a broker would refuse the file; None if it would not.
    """

    version: int | None
    cluster_id: str | None
    node_id: int | None
    directory_id: str | None
    properties: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def read_meta_properties(data: bytes) -> MetaProperties:
    """Reads the file; never raises."""
    found = read_properties(data.decode("latin-1"))
    if isinstance(found, str):
        return MetaProperties(None, None, None, None, {}, found)
    problems: list[str] = []
    version = parse_int(found.get("version", "0"), INT32_MAX)
    if version not in (0, 1):
        problems.append(f"version {found.get('version', '')!r} is not known")
        version = None
    node_key = "node.id" if version == 1 or (version is None and "node.id" in found) else "broker.id"
    node_id = parse_int(found[node_key], INT32_MAX) if node_key in found else None
    if node_key in found and (node_id is None or node_id < 0):
        problems.append(f"{node_key} {found[node_key]!r} is no node id")
        node_id = None
    if version == 1:
        problems += [f"{key} is missing" for key in ("cluster.id", "node.id") if key not in found]
    directory = read_uuid(found["directory.id"]) if "directory.id" in found else None
    if "directory.id" in found and (directory is None or directory in RESERVED_DIRECTORIES):
        problems.append(f"directory.id {found['directory.id']!r} is not legal")
        directory = None
    return MetaProperties(
        version,
        found.get("cluster.id"),
        node_id,
        None if directory is None else uuid_text(directory),
        found,
        "; ".join(problems) or None,
    )
