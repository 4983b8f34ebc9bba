"""Secret rows: records of Kafka's own metadata whose value may hold a credential.

Source: `common/metadata/*.json` (KRaft); a value is a frame version, a type, a version and the fields.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import Bool
from kafka_salvage.scan.records import RecordTable

SECRET_RECORDS = (4, 10, 11)
"""Types of metadata records that may hold credentials: ConfigRecord, DelegationTokenRecord, UserScramCredentialRecord."""


def secret_rows(table: RecordTable) -> Bool:
    """Records whose value may hold a credential; what cannot be told counts as one."""
    size, start = table.value_size, table.value_start
    framed = size >= 2
    place = np.where(framed, start, 0)
    head = np.zeros((len(table), 2), np.uint8)
    if framed.any():
        head[framed] = table.data[place[framed, None] + np.arange(2)]
    harmless = framed & (head[:, 0] == 1) & ~np.isin(head[:, 1], SECRET_RECORDS)
    return np.asarray((size > 0) & ~harmless)
