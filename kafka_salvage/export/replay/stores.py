"""Key and trust stores: what a Java client is given, as what librdkafka takes.

PEM is taken as it is, PKCS#12 key stores too; a JKS store is refused with the command that converts it. A store is told by its
first bytes, since Java reads PKCS#12 under the type JKS.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from kafka_salvage.errors import RequestError

_PEM = re.compile(
    r"-----BEGIN ([A-Z0-9 ]+)-----\s*((?:[A-Za-z-]+:[^\r\n]*\s+)*)([A-Za-z0-9+/=\s]+?)\s*-----END \1-----"
)
_JKS, _JCEKS = b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"
LONGEST = 8 << 20
"""No store is larger."""

Settings = dict[str, str]


def pem_blocks(text: str) -> str | None:
    """PEM blocks with lines as OpenSSL needs them, however they were folded into one value; None when there is none."""
    made = []
    for kind, fields, body in _PEM.findall(text):
        base64 = "".join(body.split())
        lines = [base64[at : at + 64] for at in range(0, len(base64), 64)]
        head = [*(line.strip() for line in fields.splitlines() if line.strip()), ""] if fields.strip() else []
        made.append("\n".join([f"-----BEGIN {kind}-----", *head, *lines, f"-----END {kind}-----", ""]))
    return "".join(made) or None


def _kind(key: str, path: str) -> str:
    """``PEM``, ``PKCS12`` or ``JKS``, by the first bytes of a store."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LONGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise RequestError(
            f"{key}: {path} cannot be read: {reason}", advice="Correct its path, or its rights."
        ) from None
    if content[:4] in (_JKS, _JCEKS):
        return "JKS"
    if b"-----BEGIN " in content:
        return "PEM"
    if content[:1] == b"\x30":
        return "PKCS12"
    raise RequestError(
        f"{key}: {path} is neither PEM nor PKCS#12 nor JKS",
        advice="Give a PEM file (-----BEGIN CERTIFICATE-----), and ssl.truststore.type or ssl.keystore.type PEM.",
    )


def truststore(given: Mapping[str, str]) -> Settings:
    """The certificates to believe.

    Args:
        given: keys that begin with ``ssl.truststore.``.

    Raises:
        RequestError: the store cannot be read, or is none that librdkafka reads.
    """
    inline = given.get("ssl.truststore.certificates")
    if inline:
        return {"ssl.ca.pem": _certificates("ssl.truststore.certificates", inline)}
    path = given.get("ssl.truststore.location")
    if not path:
        return {}
    kind = _kind("ssl.truststore.location", path)
    if kind == "PEM":
        return {"ssl.ca.location": path}
    target = _beside(path, ".pem")
    command = (
        f"keytool -list -rfc -keystore {shlex.quote(path)} > {shlex.quote(target)}"
        if kind == "JKS"
        else f"openssl pkcs12 -in {shlex.quote(path)} -nokeys -out {shlex.quote(target)}"
    )
    raise RequestError(
        f"ssl.truststore.location: {path} is a {kind} store, which only Java reads",
        advice=f"Convert it with: {command}; then set ssl.truststore.type=PEM and ssl.truststore.location={target}.",
    )


def keystore(given: Mapping[str, str]) -> Settings:
    """The client's own certificate and key.

    Args:
        given: keys that begin with ``ssl.keystore.``, and ``ssl.key.password``.

    Raises:
        RequestError: as in `truststore`.
    """
    made: Settings = {}
    if given.get("ssl.key.password"):
        made["ssl.key.password"] = given["ssl.key.password"]
    chain, key = given.get("ssl.keystore.certificate.chain"), given.get("ssl.keystore.key")
    if chain or key:
        if not (chain and key):
            raise RequestError(
                "ssl.keystore.certificate.chain and ssl.keystore.key belong together, and one is missing",
                advice="Set both, or ssl.keystore.location.",
            )
        pem = pem_blocks(key)
        if pem is None or "PRIVATE KEY" not in pem:
            raise RequestError("ssl.keystore.key holds no private key in PEM", advice=_PEM_ADVICE)
        return {
            "ssl.certificate.pem": _certificates("ssl.keystore.certificate.chain", chain),
            "ssl.key.pem": pem,
            **made,
        }
    path = given.get("ssl.keystore.location")
    if not path:
        return made
    kind = _kind("ssl.keystore.location", path)
    if kind == "PEM":
        return {"ssl.certificate.location": path, "ssl.key.location": path, **made}
    if kind == "PKCS12":
        return {"ssl.keystore.location": path, "ssl.keystore.password": given.get("ssl.keystore.password", "")}
    target = _beside(path, ".p12")
    raise RequestError(
        f"ssl.keystore.location: {path} is a JKS store, which only Java reads",
        advice=f"Convert it with: keytool -importkeystore -srckeystore {shlex.quote(path)} -destkeystore "
        f"{shlex.quote(target)} -deststoretype PKCS12; then set ssl.keystore.type=PKCS12, "
        f"ssl.keystore.location={target} and its ssl.keystore.password.",
    )


_PEM_ADVICE = (
    "It begins with -----BEGIN and ends with -----END …-----; write line ends as \\n, or end each line with a \\."
)


def _certificates(key: str, text: str) -> str:
    pem = pem_blocks(text)
    if pem is None or "-----BEGIN CERTIFICATE-----" not in pem:
        raise RequestError(f"{key} holds no certificate in PEM", advice=_PEM_ADVICE)
    return pem


def _beside(path: str, suffix: str) -> str:
    made = Path(path).with_suffix(suffix)
    return str(made) if made != Path(path) else f"{path}{suffix}"


STORES: Mapping[str, Callable[[Mapping[str, str]], Settings]] = {
    "ssl.truststore.": truststore,
    "ssl.keystore.": keystore,
}
