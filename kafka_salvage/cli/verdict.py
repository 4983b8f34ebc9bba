"""Verdict: what a person needs to know first, in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from kafka_salvage.cli.words import listed, number, plural, size

Document = dict[str, Any]

_LEFTOVERS = {
    "deleted-topic": "directories of deleted topics",
    "deleted-segment": "deleted segments",
    "stray": "stray directories",
    "future": "directories of replicas that were being moved",
    "leftover": ".swap and .cleaned files",
}
_HARM = ("lost", "ambiguous", "undecodable", "suspect", "missing", "divergent", "repaired")
"""Statuses of offsets, the worst first."""
_RANK = ("unreadable", "codec-missing", "crc-mismatch", "length-past-end", "length-too-small", "bad-magic", "zero-fill", "segment-missing",
         "torn-tail", "offset-gap", "inflate-failed", "inflate-limit", "record-malformed", "uncorroborated")  # fmt: skip
"""Codes of findings, the most telling first."""
_ODD = ("damaged", "repaired", "suspect", "undecodable", "foreign", "duplicate", "unreadable")


def verdict(document: Document, verb: str = "check") -> tuple[str, str]:
    """Style and sentence.

    Args:
        document: the report.
        verb: ``check`` or ``salvage``: what could be recovered, or was.
    """
    summary = document["summary"]
    offsets = summary["offsets"]
    kept = plural(sum(p["records"]["data"] for p in document["partitions"] if p["selected"]), "record")
    kept += " recovered" if verb == "salvage" else " can be recovered"
    match summary["outcome"]:
        case "intact":
            return "bold green", f"INTACT: every byte is intact or harmless; {kept}."
        case "covered":
            return "bold yellow", f"{_covered(document)}; {kept}."
        case "ambiguous":
            return "bold red", f"A PERSON MUST DECIDE: {_disputed(document)}{_also(offsets)}; {kept}."
        case "failed":
            return "bold red", f"NOT ALL COULD BE READ: {_failed(document)}{_also(offsets)}; {kept}."
    return "bold red", f"{_loss(document)}; {kept}."


def leaning(document: Document) -> dict[str, tuple[int, list[str]]]:
    """Kind of leftover -> offsets that only it gives, and the partitions."""
    found: dict[str, tuple[int, list[str]]] = {}
    for partition in document["partitions"]:
        if not partition["selected"]:
            continue
        sums: dict[str, int] = {}
        for span in partition["offsets"]:
            if span["status"] in ("recovered", "repaired"):
                state = span.get("reason", "") or partition["state"]
                if state in _LEFTOVERS and not state == partition["state"] == "deleted-topic":
                    sums[state] = sums.get(state, 0) + span["stop"] - span["start"] - span["absent"]
        for state, count in sums.items():
            total, names = found.get(state, (0, []))
            found[state] = total + count, [*names, f"{partition['topic']}-{partition['partition']}"]
    return found


def leftovers(document: Document) -> str:
    """What output leans on, as a clause; empty when on nothing but live files."""
    clauses = [
        f"{plural(count, 'offset')} {'comes' if count == 1 else 'come'} from {_LEFTOVERS[state]} ({listed(names)})"
        for state, (count, names) in sorted(leaning(document).items())
    ]
    return ", ".join(clauses)


def _covered(document: Document) -> str:
    """Why the exit code is 6, the worst first."""
    summary = document["summary"]
    leans = leftovers(document)
    repaired = summary["offsets"]["repaired"]
    odd = [verdict for verdict in _ODD if summary["bytes"][verdict]]
    if odd:
        return "DAMAGED, NOTHING LOST" + (
            f": {plural(repaired, 'offset')} repaired as the CRC proves" if repaired else ""
        )
    if leans:
        return f"NOTHING LOST, BUT LEFTOVERS ARE NEEDED: {leans}"
    apart = [
        f"{p['topic']}-{p['partition']}" for p in document["partitions"] if any(_is_divergent(s) for s in p["offsets"])
    ]
    if apart or summary["offsets"]["divergent"]:
        return f"NOTHING LOST, BRANCHES ARE KEPT APART: files disagree ({listed(apart)})"
    for code, words in (("cluster-mismatch", "ANOTHER CLUSTER IS"), ("topic-id-mismatch", "OTHER INCARNATIONS ARE")):
        if others := _named(document, code):
            return f"NOTHING LOST, {words} KEPT APART: {listed(others)}"
    files = sorted({finding["path"] for finding in document["findings"] if not finding["detail"].get("harmless")})
    return f"NOTHING LOST, SIDE FILES ARE DAMAGED: {listed(files)}" if files else "DAMAGED, NOTHING LOST"


def _named(document: Document, code: str) -> list[str]:
    """Directories that findings of a kind name."""
    return sorted({f["path"].rpartition("/")[2] for f in document["findings"] if f["code"] == code})


def _disputed(document: Document) -> str:
    """What a person must decide: which of several bytes, or which of several logs of one name."""
    offsets = document["summary"]["offsets"]["ambiguous"]
    clusters, topics = _named(document, "cluster-mismatch"), _named(document, "topic-id-mismatch")
    if offsets or not (clusters or topics):
        return f"copies disagree on {plural(offsets, 'offset')}"
    if clusters:
        names = Counter(f"{p['topic']}-{p['partition']}" for p in document["partitions"])
        clusters = [name for name in clusters if names[name] > 1] or clusters
        return f"two clusters have partitions of the same name ({listed(clusters)}): --prefer NAME"
    return f"two topics have the same name ({listed(topics)}): --prefer NAME"


def _is_divergent(span: Document) -> bool:
    return bool(span["status"] == "divergent")


def _gone(document: Document) -> list[str]:
    """Partitions that a broker among the sources should have, and of which there is no copy."""
    topics = document.get("topics", ())
    return [f"{t['name']}-{a['partition']}" for t in topics for a in t["absent"] if a.get("gone")]


def _loss(document: Document) -> str:
    offsets, gone = document["summary"]["offsets"], _gone(document)
    losses = list(_losses(offsets))
    if gone:
        losses.append(
            f"no copy of {plural(len(gone), 'partition')} is here ({listed(gone)}), and nobody knows how much they held"
        )
        return f"{'DATA LOST' if offsets['lost'] else 'DATA MISSING'}: {', '.join(losses)}"
    if offsets["lost"] or not losses:
        return "DATA LOST: " + (", ".join(losses) or "the end of a log is torn off")
    title = "DATA MISSING" if offsets["missing"] else "NOT ALL IS PROVED"
    return f"{title}: {', '.join(losses)}"


def _also(offsets: Document) -> str:
    return "".join(f", {loss}" for loss in _losses(offsets))


def _losses(offsets: Document) -> Iterator[str]:
    least = "at least " if offsets["lost_at_least"] else ""
    for status, words in (
        ("lost", "lost"),
        ("missing", "missing (in no file that is here)"),
        ("undecodable", "not decodable"),
        ("suspect", "not proved"),
    ):
        if offsets[status]:
            yield f"{least if status == 'lost' else ''}{plural(offsets[status], 'offset')} {words}"


def _failed(document: Document) -> str:
    shut = [f["path"] for f in document["files"] if f["use"] == "unreadable" and f["kind"] == "segment"]
    codecs = sum(1 for finding in document["findings"] if finding["code"] == "codec-missing")
    parts = [f"{plural(len(shut), 'segment file')} could not be opened ({listed(shut, 1)})"] if shut else []
    if codecs:
        parts.append(f"the codec of {number(codecs)} batch{'' if codecs == 1 else 'es'} is not installed")
    return ", ".join(parts) or "see the findings"


def accounts(document: Document, sentence: str) -> Iterator[str]:
    """What the verdict rests on: bytes by verdict, and what only leftovers gave.

    Args:
        document: the report.
        sentence: the verdict; what it says is not said again.
    """
    summary = document["summary"]
    totals = summary["bytes"]
    rest = "".join(f", {size(totals[v])} {v}" for v in totals if v not in ("total", "intact") and totals[v])
    depth = (
        "every record was read"
        if document["depth"] == "deep"
        else "headers and CRCs were read, --deep reads every record"
    )
    yield f"{plural(summary['segments'], 'segment')}, {size(totals['total'])}: {size(totals['intact'])} intact{rest}; {depth}."
    leans = leftovers(document)
    if leans and leans not in sentence:
        yield f"Of what was found, {leans}."


def sums_of(partition: Document) -> dict[str, int]:
    """Offsets of each status in a partition's ledger."""
    sums: dict[str, int] = {}
    for span in partition["offsets"]:
        absent = span.get("absent", 0)
        sums[span["status"]] = sums.get(span["status"], 0) + span["stop"] - span["start"] - absent
        sums["absent"] = sums.get("absent", 0) + absent
    return sums


def harm_of(partition: Document) -> tuple[int, ...]:
    """Offsets of each bad status, the worst first."""
    sums = sums_of(partition)
    return tuple(sums.get(status, 0) for status in _HARM)


def rank_of(finding: Document) -> tuple[int, str, str, str, int]:
    """What findings are sorted by: the most telling code first."""
    place = _RANK.index(finding["code"]) if finding["code"] in _RANK else len(_RANK)
    return place, finding["code"], finding["source"], finding["path"], finding["start"]


def hazard(document: Document) -> tuple[str, str] | None:
    """Sentence and style: what a broker start on the files as they lie would destroy; None when nothing."""
    clean = {log_dir["id"]: log_dir["clean_shutdown"] for s in document["sources"] for log_dir in s["log_dirs"]}
    several = len(clean) > 1 or len(document["sources"]) > 1
    copy = "these copies" if several else "this copy"
    doomed: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
    refuses: list[str] = []
    for partition in document["partitions"]:
        for replica in partition["replicas"]:
            would = replica.get("broker_would") or {}
            cases = [would[case] for case in ("if_clean", "if_unclean") if case in would]
            worst = max((case["intact_records_destroyed"] for case in cases), default=0)
            name = f"{partition['topic']}-{partition['partition']}"
            name = f"{replica['log_dir'] or replica['source']}:{name}" if several else name
            if worst:
                doomed[replica["state"] == "deleted-topic"].append((name, worst))
            elif not would.get("if_clean" if clean.get(replica["log_dir"]) else "if_unclean", {}).get("starts", True):
                refuses.append(name)
    for on_purpose, found in sorted(doomed.items()):
        if found:
            records = plural(sum(count for _, count in found), "intact record")
            where = listed([name for name, _ in found])
            if on_purpose:
                return f"A broker start on {copy} removes {records} of deleted topics ({where}).", "yellow"
            return f"DO NOT START A BROKER ON {copy.upper()}: it could destroy {records} ({where}).", "bold red"
    return (f"A broker would refuse to start on {copy} ({listed(refuses)}).", "yellow") if refuses else None
