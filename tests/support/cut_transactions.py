"""Cut of transactions: a small partition with transactions of both versions, written by a real broker for `fixtures/`.

`python -m tests.support.cut_transactions` makes `fixtures/transactions` anew; it needs Java, and Maven or its cache.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from tests.broker.transacting import play
from tests.support.broker import Cluster
from tests.support.corpus import ROOT
from tests.support.jars import VERSION

PLACE = ROOT / "fixtures" / "transactions"
SUMS = PLACE / "SHA256SUMS"
TOPIC = "pay"
_TAKEN = (f"{TOPIC}-0", "__transaction_state-0")


def cut() -> None:
    """Plays the script of `tests.broker.transacting`, asks a consumer what it sees, stops the broker, and keeps what matters."""
    with tempfile.TemporaryDirectory() as root, Cluster(Path(root)) as cluster:
        cluster.start()
        cluster.create(TOPIC)
        played = play(cluster, TOPIC, 1)[0]
        live = [message.offset() for message in cluster.consume(TOPIC, 0, "read_committed")]
        cluster.first.stop()
        shutil.rmtree(PLACE, ignore_errors=True)
        home = PLACE / "broker-1"
        for name in _TAKEN:
            shutil.copytree(cluster.first.data / name, home / name)
        shutil.copyfile(cluster.first.data / "meta.properties", home / "meta.properties")
    truth = {
        "kafka": VERSION,
        "live": live,
        "records": [
            {"offset": offset, "key": played.keys[offset].decode(), "fate": played.fates[offset]}
            for offset in sorted(played.fates)
        ],
    }
    (PLACE / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    SUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sums().items()))


def sums() -> dict[str, str]:
    """SHA-256 of every file, by path below `fixtures/transactions`."""
    files = sorted(path for path in PLACE.rglob("*") if path.is_file() and path != SUMS)
    return {path.relative_to(PLACE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    cut()
