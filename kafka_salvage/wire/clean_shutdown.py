"""CleanShutdown: `.kafka_cleanshutdown`, left by a broker that stopped in order.

Its being there is the statement; a body that cannot be read only loses the epoch.

Source: `CleanShutdownFileHandler.java`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CleanShutdown:
    """What the file says.

    Attributes:
        version: of the body; None before 3.7 or when it cannot be read.
        broker_epoch: -1 in ZooKeeper mode and when not stated.
        problem: why the body could not be read; None if it could or is empty. Still a clean stop.
    """

    version: int | None = None
    broker_epoch: int = -1
    problem: str | None = None


def read_clean_shutdown(data: bytes) -> CleanShutdown:
    """Reads the file; never raises."""
    if not data:
        return CleanShutdown()
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return CleanShutdown(problem="the body is no JSON")
    if not isinstance(body, dict):
        return CleanShutdown(problem="the body is no JSON object")
    version, epoch = body.get("version"), body.get("brokerEpoch")
    if type(version) is not int or type(epoch) is not int:
        return CleanShutdown(problem="the body states no version and broker epoch")
    return CleanShutdown(version, epoch)
