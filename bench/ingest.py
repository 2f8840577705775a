"""How much memory and time it takes to ingest a large artifact: ``python -m bench.ingest --size-mib 2048``.

Each figure comes from a process of its own against a private Azurite. The yardsticks are those of the design: the
machine's SHA-256 and a plain SDK download of the same blob.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.storage.blob import BlobServiceClient

from shared.adapters.azure_artifacts import AzureArtifacts
from shared.handlers.ingest_package import IntakeOutcome, PackageIntake
from tests.support.azurite import private_azurite
from tests.support.memory_packages import MemoryPackages, MemorySender
from tests.support.repository import unsigned_allowed

MIB = 1024 * 1024
FIRMWARE = "bench-fw/1.0.0/image.bin"
DEBIAN = "bench.deb"
CONTROL = b"Package: bench\nVersion: 1.0-1\nArchitecture: all\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one process took."""

    seconds: float
    peak_mib: float


def main() -> None:
    """Measure, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=2048)
    parser.add_argument("--run", choices=sorted(_RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--storage", help=argparse.SUPPRESS)
    parser.add_argument("--blob", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        _run_here(arguments.run, arguments.storage, arguments.blob)
        return
    with private_azurite() as storage:
        _prepare(storage, arguments.size_mib)
        _report(storage, arguments.size_mib)


def _report(storage: str, size_mib: int) -> None:
    for blob in (FIRMWARE, DEBIAN):
        sha256 = _measure("sha256", storage, blob)
        download = _measure("download", storage, blob)
        ingest = _measure("ingest", storage, blob)
        share = max(sha256.seconds, download.seconds) / ingest.seconds
        print(f"{blob}, {size_mib} MiB")
        for name, measured in (("SHA-256", sha256), ("plain download", download), ("ingest", ingest)):
            rate = size_mib / measured.seconds
            print(f"  {name:15} {measured.seconds:7.2f} s {rate:8.0f} MiB/s   peak RSS {measured.peak_mib:6.0f} MiB")
        print(f"  ingest runs at {share:.0%} of the slower yardstick (to hold: 80 %)")


def _measure(run: str, storage: str, blob: str) -> Measurement:
    command = [sys.executable, "-m", "bench.ingest", "--run", run, "--storage", storage, "--blob", blob]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak_mib = output.split()
    return Measurement(seconds=float(seconds), peak_mib=float(peak_mib))


def _run_here(run: str, storage: str, blob: str) -> None:
    with BlobServiceClient.from_connection_string(storage) as service:
        started = time.perf_counter()
        _RUNS[run](service, blob)
        seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _sha256(service: BlobServiceClient, blob: str) -> None:
    size = service.get_blob_client("incoming", blob).get_blob_properties().size
    chunk, digest = bytes(4 * MIB), hashlib.sha256()
    for _ in range(size // len(chunk)):
        digest.update(chunk)


def _download(service: BlobServiceClient, blob: str) -> None:
    for _ in service.get_blob_client("incoming", blob).download_blob().chunks():
        pass


def _ingest(service: BlobServiceClient, blob: str) -> None:
    intake = PackageIntake(
        store=AzureArtifacts(service), packages=MemoryPackages(), sender=MemorySender(), authorities=unsigned_allowed
    )
    result = intake.ingest_package(blob, now=datetime.now(UTC))
    if result.outcome is not IntakeOutcome.ACCEPTED:
        raise RuntimeError(f"{blob} was not taken in: {result}")


_RUNS: dict[str, Callable[[BlobServiceClient, str], None]] = {
    "sha256": _sha256,
    "download": _download,
    "ingest": _ingest,
}


def _prepare(storage: str, size_mib: int) -> None:
    with BlobServiceClient.from_connection_string(storage) as service:
        for container in ("incoming", "packages", "quarantine"):
            service.create_container(container)
        incoming = service.get_container_client("incoming")
        incoming.upload_blob(FIRMWARE, _firmware(size_mib * MIB))
        incoming.upload_blob(DEBIAN, _debian(size_mib * MIB))


def _content(size_bytes: int) -> Iterator[bytes]:
    """One random MiB again and again: nothing here looks for repetitions."""
    chunk = random.Random(0).randbytes(MIB)
    for _ in range(size_bytes // MIB):
        yield chunk


def _firmware(size_bytes: int) -> Iterator[bytes]:
    header = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, 0, size_bytes, 0, 1, 0, 0, 0, 0)
    digest = hashlib.sha256(header)
    yield header
    for chunk in _content(size_bytes):
        digest.update(chunk)
        yield chunk
    yield struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + digest.digest()


def _debian(size_bytes: int) -> Iterator[bytes]:
    control = _tar_header("./control", len(CONTROL)) + CONTROL.ljust(512, b"\0") + bytes(1024)
    yield b"!<arch>\n" + _member("debian-binary", 4) + b"2.0\n"
    yield _member("control.tar", len(control)) + control
    yield _member("data.tar", 512 + size_bytes + 1024) + _tar_header("./content", size_bytes)
    yield from _content(size_bytes)
    yield bytes(1024)


def _member(name: str, size_bytes: int) -> bytes:
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size_bytes:<10}`\n".encode()


def _tar_header(name: str, size_bytes: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size_bytes
    return header.tobuf(tarfile.GNU_FORMAT)


if __name__ == "__main__":
    main()
