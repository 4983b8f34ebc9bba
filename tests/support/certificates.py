"""Certificates for tests: an authority of their own, and what it signs, as PEM files that `openssl` makes."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path


def _openssl(*words: str, given: str = "") -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False, timeout=60, input=given)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr}")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key (PKCS#8, which Java reads)."""

    certificate: Path
    key: Path

    def pkcs12(self, path: Path, password: str) -> Path:
        """Both as a PKCS#12 file."""
        _openssl(
            "pkcs12", "-export", "-in", str(self.certificate), "-inkey", str(self.key), "-out", str(path),
            "-passout", f"pass:{password}",
        )  # fmt: skip
        return path


class Authority:
    """Signs certificates for 127.0.0.1 and localhost.

    Args:
        directory: where its files are put.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._numbers = itertools.count(1)
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=tests", "-keyout", str(self._key), "-out", str(self.certificate),
        )  # fmt: skip

    def issue(self, name: str, *, password: str = "", hosts: str = "IP:127.0.0.1,DNS:localhost") -> Pair:
        """A signed pair; with a password its key is encrypted."""
        number = next(self._numbers)
        place = self._directory / f"{name}-{number}"
        plain, request, made = (place.with_suffix(suffix) for suffix in (".plain", ".csr", ".pem"))
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(plain), "-out", str(request),
        )  # fmt: skip
        extensions = place.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={hosts}\n")
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key),
            "-set_serial", str(number), "-days", "2", "-extfile", str(extensions), "-out", str(made),
        )  # fmt: skip
        key = place.with_suffix(".key")
        words = ["pkcs8", "-topk8", "-in", str(plain), "-out", str(key)]
        _openssl(*words, *(["-passout", "stdin", "-v2", "aes256"] if password else ["-nocrypt"]), given=f"{password}\n")
        plain.unlink()
        return Pair(made, key)
