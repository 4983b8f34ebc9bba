"""Kafka's jars: fetched through Maven once into a cache directory; afterwards everything runs offline."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

VERSION = "4.1.1"
OLDER = "3.4.1"
"""An older release, as a target: KRaft, topics without `message.timestamp.before.max.ms`, classic groups only."""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafka_salvage-tests"

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kafka-salvage</groupId><artifactId>broker-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>ARTIFACT</artifactId><version>VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""

JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class UnavailableError(RuntimeError):
    """No broker can run here; says why."""


@functools.cache
def java() -> str:
    """The `java` program, version 17 or newer.

    Raises:
        UnavailableError: there is none.
    """
    found = shutil.which("java")
    if found is None:
        raise UnavailableError("no java on the PATH")
    text = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    match = re.search(r'version "(\d+)', text)
    if match is None or int(match[1]) < 17:
        raise UnavailableError(f"java 17 or newer is needed, found {text.splitlines()[:1]}")
    return found


def jars(version: str = VERSION) -> Path:
    """Directory with the jars of Kafka; downloads them at the first call.

    Raises:
        UnavailableError: neither the cache nor Maven gives them.
    """
    return _fetched("kafka_2.13", CACHE / f"kafka-{version}", version)


def tools() -> Path:
    """Directory with the jars of Kafka's command-line programs, as `jars`."""
    return _fetched("kafka-tools", CACHE / f"kafka-tools-{VERSION}", VERSION)


def _fetched(artifact: str, target: Path, version: str) -> Path:
    if (target / f"{artifact}-{version}.jar").is_file():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError(f"no mvn on the PATH, and no jars in {target}")
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    partial.mkdir(parents=True)
    try:
        (partial / "pom.xml").write_text(_POM.replace("ARTIFACT", artifact).replace("VERSION", version))
        command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=."]
        done = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False, timeout=1200)
        if done.returncode:
            raise UnavailableError(f"maven could not fetch Kafka {version}: {(done.stdout + done.stderr)[-400:]}")
        with contextlib.suppress(OSError):  # another process was faster
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def run_tool(
    main: str, *arguments: str, directory: Path, timeout: float = 180, classpath: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one of Kafka's own programs.

    Args:
        main: class, e.g. ``kafka.tools.DumpLogSegments``.
        arguments: for it.
        directory: where its logging settings are put.
        timeout: seconds.
        classpath: directory with jars; those of the broker without.
    """
    settings = directory / "quiet.properties"
    settings.write_text("rootLogger.level = OFF\n")
    command = [
        java(),
        "-Xmx256m",
        *JVM,
        f"-Dlog4j2.configurationFile={settings}",
        "-cp",
        f"{classpath or jars()}/*",
        main,
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=timeout)
