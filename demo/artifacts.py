"""What the operator of the demo drops: a firmware image, a Debian package, a broken upload and an unsigned one."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from securesystemslib.signer import Signer

from cli.publisher import describe_artifact
from shared.domain.artifacts.naming import Description
from shared.trust.signature_files import write_signature_file

FIRMWARE = "thermostat-fw"
FIRMWARE_VERSION = "1.1.0"
APPLICATION = "thermostat-app"
APPLICATION_FACTORY_VERSION = "1.0.0-1"
APPLICATION_VERSION = "2.0.0-1"
SELFTEST_FAILS = "groundswell-selftest: fail"
FIRMWARE_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file to drop into ``incoming``.

    Attributes:
        blob_name: Where it goes; the folders may carry name and version.
        metadata: Blob metadata that goes with it.
        signature: Its publisher's signature; None where nobody signed it.
    """

    path: Path
    blob_name: str
    metadata: dict[str, str] = field(default_factory=dict)
    signature: bytes | None = None


def build_artifacts(folder: Path, publisher: Signer) -> list[Artifact]:
    """The four artifacts, built on the spot and signed as their publisher does."""
    folder.mkdir(parents=True, exist_ok=True)
    firmware = build_firmware(folder, FIRMWARE_VERSION)
    application = build_debian_package(folder, APPLICATION_VERSION, note=SELFTEST_FAILS)
    named = Description(
        origin="demo", name=FIRMWARE, version=FIRMWARE_VERSION, compatibility={"hardware": ("thermostat-mk2",)}
    )
    signature = write_signature_file(describe_artifact(firmware, named), publisher)
    plain = describe_artifact(application, Description(origin="demo"))
    path = f"{FIRMWARE}/{FIRMWARE_VERSION}/{firmware.name}"
    return [
        Artifact(path=firmware, blob_name=path, signature=signature),
        Artifact(path=application, blob_name="app.deb", signature=write_signature_file(plain, publisher)),
        Artifact(path=_truncated(firmware), blob_name="upload-broke-off.bin", signature=signature),
        Artifact(path=firmware, blob_name="final-final-2.bin"),
    ]


def build_firmware(folder: Path, version: str) -> Path:
    """An MCUboot image of a few MiB, made by the tool that firmware builds use for it."""
    payload = folder / f"{FIRMWARE}-{version}.payload"
    payload.write_bytes(random.Random(version).randbytes(FIRMWARE_BYTES))
    image = folder / f"{FIRMWARE}-{version}.bin"
    tool = Path(sys.executable).with_name("imgtool")
    shape = ["--header-size", "0x200", "--pad-header", "--align", "4", "--slot-size", "0x800000"]
    _run([str(tool), "sign", "--version", version, *shape, str(payload), str(image)])
    return image


def build_debian_package(folder: Path, version: str, *, note: str) -> Path:
    """A real Debian package for every architecture with one program and one note in it."""
    root = folder / f"{APPLICATION}_{version}"
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {APPLICATION}\nVersion: {version}\nArchitecture: all\nMaintainer: Demo <demo@example.com>\n"
        "Description: Room temperature control\n A small program that keeps a room at the right temperature.\n"
    )
    share = root / "usr/share" / APPLICATION
    share.mkdir(parents=True, exist_ok=True)
    (share / "release-notes").write_text(f"{APPLICATION} {version}\n{note}\n")
    package = folder / f"{APPLICATION}_{version}_all.deb"
    _run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(package)])
    return package


def _truncated(image: Path) -> Path:
    broken = image.with_name(f"broken-{image.name}")
    broken.write_bytes(image.read_bytes()[: FIRMWARE_BYTES // 2])
    return broken


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
