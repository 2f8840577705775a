"""Artifacts made on the spot: MCUboot images by imgtool, uImages and Debian packages byte by byte."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


@cache
def mcuboot_image(version: str = "1.2.3", payload_bytes: int = 20_000, *options: str) -> bytes:
    """An image by the tool that firmware builds use."""
    with tempfile.TemporaryDirectory() as folder:
        payload, image = Path(folder) / "payload", Path(folder) / "image"
        payload.write_bytes(random.Random(version).randbytes(payload_bytes))
        tool = Path(sys.executable).with_name("imgtool")
        shape = ["--header-size", "0x200", "--pad-header", "--align", "4", "--slot-size", "0x100000"]
        command = [str(tool), "sign", "--version", version, *shape, *options, str(payload), str(image)]
        subprocess.run(command, check=True, capture_output=True)
        return image.read_bytes()


def uimage(name: str = "router-fw 2.1.0", content: bytes = b"kernel" * 500) -> bytes:
    """A U-Boot legacy image: ARM Linux kernel, uncompressed."""
    fields = (0x27051956, 0, 1_700_000_000, len(content), 0x8000, 0x8000, zlib.crc32(content), 5, 2, 2, 0)
    header = bytearray(struct.pack(">7I4B32s", *fields, name.encode()))
    struct.pack_into(">I", header, 4, zlib.crc32(header))
    return bytes(header) + content


def control_text(name: str = "sensor-app", version: str = "1:2.4.1-3", architecture: str = "arm64") -> str:
    """A control file."""
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: Somebody <somebody@example.com>\nDepends: libc6 (>= 2.36),\n adduser\n"
        "Description: Reads sensors\n And more.\n"
    )


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; fields are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tarball(members: Iterable[tuple[tarfile.TarInfo, bytes]], format_: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar archive."""
    parts = [b"!<arch>\n"]
    for name, content in members:
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def debian_package(
    control: str | None = None,
    data: Iterable[tuple[tarfile.TarInfo, bytes]] | None = None,
    control_members: Iterable[tuple[tarfile.TarInfo, bytes]] = (),
    compression: str = ".xz",
) -> bytes:
    """A Debian package; what is not given is as it should be."""
    text = control_text() if control is None else control
    default_data = [member("./", type=tarfile.DIRTYPE), member("./usr/bin/sensor", b"#!/bin/sh\n" * 200)]
    compress = COMPRESSIONS[compression]
    control_tar = tarball([member("./control", text.encode()), *control_members])
    data_tar = tarball(default_data if data is None else data)
    return archive(
        [
            ("debian-binary", b"2.0\n"),
            (f"control.tar{compression}", compress(control_tar)),
            (f"data.tar{compression}", compress(data_tar)),
        ]
    )
