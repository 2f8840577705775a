"""What a thermostat leaves the factory with, and how to find out what one really runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from agent.install.slots import FolderSlots
from demo.artifacts import APPLICATION, APPLICATION_FACTORY_VERSION, FIRMWARE, build_debian_package, build_firmware

HARDWARE = "thermostat-mk2"
FIRMWARE_FACTORY_VERSION = "1.0.0"
FACTORY_INSTALLED = {FIRMWARE: FIRMWARE_FACTORY_VERSION, APPLICATION: APPLICATION_FACTORY_VERSION}
_MCUBOOT_VERSION = slice(20, 28)


class Factory:
    """Fills the first slot of new devices with a real image and a really installed Debian package."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._firmware = build_firmware(folder, FIRMWARE_FACTORY_VERSION)
        self._application = build_debian_package(folder, APPLICATION_FACTORY_VERSION, note="groundswell-selftest: pass")

    def fill(self, slots: Path) -> None:
        """Lay out the slots of a new device."""
        FolderSlots(top=slots).prepare(FACTORY_INSTALLED)
        active = slots / "a"
        shutil.copyfile(self._firmware, active / "image")
        digest = hashlib.sha256(self._firmware.read_bytes()).hexdigest()
        record = {"name": FIRMWARE, "version": FIRMWARE_FACTORY_VERSION, "sha256": digest}
        (active / "image.json").write_text(json.dumps(record))
        _install(active / "root", self._application)


def find_installed(slots: Path) -> dict[str, str]:
    """Package name to version, as the active slot's image header and dpkg's own database say."""
    active = slots / "active"
    return {FIRMWARE: _image_version(active / "image"), APPLICATION: _debian_version(active / "root")}


def _image_version(image: Path) -> str:
    with image.open("rb") as file:
        major, minor, *revision = file.read(_MCUBOOT_VERSION.stop)[_MCUBOOT_VERSION]
    return f"{major}.{minor}.{int.from_bytes(bytes(revision[:2]), 'little')}"


def _debian_version(root: Path) -> str:
    command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--showformat=${Version}", "--show", APPLICATION]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _install(root: Path, package: Path) -> None:
    database = root / "var/lib/dpkg"
    for folder in (database / "info", database / "updates", database / "triggers", root / "var/log"):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("status", "available"):
        (database / name).touch()
    command = [
        "dpkg",
        f"--root={root}",
        f"--log={root}/var/log/dpkg.log",
        "--force-not-root",
        "--install",
        str(package),
    ]
    subprocess.run(command, check=True, capture_output=True)
