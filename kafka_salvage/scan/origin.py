"""Origin: where the records of a table come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Provenance of one record table.

    Attributes:
        topic, partition: Kafka's names.
        source: display name of the source.
        path: segment file, relative to the source.
        verdict: of the bytes, as text.
        transaction: label per row of the table's ``batches``, int8 codes into ``transactions``.
        transactions: the labels by code.
    """

    topic: str
    partition: int
    source: str
    path: str
    verdict: str
    transaction: npt.NDArray[np.int8]
    transactions: tuple[str, ...]
