"""Firmware: the package is the slot's image, byte for byte."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import sync_file, write_durably
from agent.ports import Content, InstallFailed
from shared.domain.packages import PackageKind


@dataclass(frozen=True, slots=True)
class FirmwareHandler:
    """Writes the image into the slot and reads it back. Implements ``agent.ports.Handler``."""

    kind = PackageKind.FIRMWARE

    def is_ready(self) -> bool:
        """Whether images can be written: always."""
        return True

    def install(self, content: Content, slot: Path, installed: Mapping[str, str]) -> Mapping[str, str]:
        """Replace the slot's image; the image that was there is no longer installed.

        Raises:
            InstallFailed: It reads back otherwise than it was signed.
        """
        image, scratch = slot / "image", slot / "image.new"
        shutil.copyfile(content.file, scratch)
        sync_file(scratch)
        _read_back(scratch, content)
        scratch.replace(image)
        replaced = _image_name(slot)
        record = {"name": content.name, "version": content.version, "length": content.length_bytes}
        write_durably(slot / "image.json", json.dumps({**record, "sha256": content.sha256}).encode() + b"\n")
        kept = {name: version for name, version in installed.items() if name != replaced}
        return {**kept, content.name: content.version}


def _read_back(image: Path, content: Content) -> None:
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != content.sha256:
        raise InstallFailed(f"the image reads back as {digest}, signed is {content.sha256}")


def _image_name(slot: Path) -> str | None:
    record = slot / "image.json"
    return str(json.loads(record.read_bytes())["name"]) if record.exists() else None
