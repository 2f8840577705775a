"""Firmware images: made by the tools that make them, and damaged in every way an upload can be."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.artifacts.inspection import Inspection, inspect
from shared.domain.artifacts.refusals import Refusal
from shared.domain.errors import ArtifactRefused
from shared.domain.packages import PackageKind
from tests.support.artifacts import mcuboot_image, uimage

TRAILER_AT = 0x200 + 20_000


def _inspect(content: bytes, chunk_bytes: int = 1_000) -> Inspection:
    return inspect(content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes))


def _refusal(content: bytes) -> str:
    with pytest.raises(ArtifactRefused) as refused:
        _inspect(content)
    assert refused.value.message
    return refused.value.code


def test_mcuboot_image_is_recognised_and_its_version_read() -> None:
    image = mcuboot_image("1.2.3")
    inspection = _inspect(image)
    assert inspection.finding.kind is PackageKind.FIRMWARE
    assert inspection.finding.version == "1.2.3"
    assert inspection.length_bytes == len(image)


def test_mcuboot_build_number_becomes_part_of_the_version() -> None:
    assert _inspect(mcuboot_image("2.0.1+77")).finding.version == "2.0.1+77"


def test_mcuboot_image_padded_to_its_slot_is_taken() -> None:
    assert _inspect(mcuboot_image("1.2.3", 20_000, "--pad")).finding.version == "1.2.3"


def test_mcuboot_image_with_a_protected_trailer_is_taken() -> None:
    assert _inspect(mcuboot_image("1.2.3", 20_000, "--security-counter", "5")).finding.version == "1.2.3"


@pytest.mark.parametrize("position", [0x08 + 16, 0x200, 0x200 + 19_999])
def test_mcuboot_image_with_a_flipped_bit_is_corrupt(position: int) -> None:
    image = bytearray(mcuboot_image())
    image[position] ^= 0x01
    assert _refusal(bytes(image)) == Refusal.CORRUPT


@pytest.mark.parametrize("kept", [10, 31, 5_000, TRAILER_AT, TRAILER_AT + 2, TRAILER_AT + 20])
def test_mcuboot_image_cut_short_is_truncated(kept: int) -> None:
    assert _refusal(mcuboot_image()[:kept]) == Refusal.TRUNCATED


def test_mcuboot_image_with_something_else_for_a_trailer_is_corrupt() -> None:
    image = bytearray(mcuboot_image())
    image[TRAILER_AT : TRAILER_AT + 2] = b"\0\0"
    assert _refusal(bytes(image)) == Refusal.CORRUPT


def test_mcuboot_image_without_a_sha256_is_corrupt() -> None:
    image = bytearray(mcuboot_image())
    struct.pack_into("<H", image, TRAILER_AT + 4, 0x7F)
    assert _refusal(bytes(image)) == Refusal.CORRUPT


def test_uimage_is_recognised_and_its_name_field_read() -> None:
    finding = _inspect(uimage("router-fw 2.1.0")).finding
    assert (finding.kind, finding.name, finding.version) == (PackageKind.FIRMWARE, "router-fw", "2.1.0")


@pytest.mark.parametrize(
    ("field", "name", "version"),
    [
        ("Linux-5.10.4", "Linux", "5.10.4"),
        ("router_v3.0.1-rc.1", "router", "3.0.1-rc.1"),
        ("bootloader", "bootloader", ""),
        ("", "", ""),
        ("My great image", "", ""),
    ],
)
def test_uimage_name_field_gives_what_can_be_used(field: str, name: str, version: str) -> None:
    finding = _inspect(uimage(field)).finding
    assert (finding.name, finding.version) == (name, version)


@pytest.mark.parametrize("position", [12, 40, 64, 200])
def test_uimage_with_a_flipped_bit_is_corrupt(position: int) -> None:
    image = bytearray(uimage())
    image[position] ^= 0x01
    assert _refusal(bytes(image)) == Refusal.CORRUPT


@pytest.mark.parametrize("kept", [8, 63, 64, 3_000])
def test_uimage_cut_short_is_truncated(kept: int) -> None:
    assert _refusal(uimage()[:kept]) == Refusal.TRUNCATED


def test_uimage_with_bytes_behind_it_is_corrupt() -> None:
    assert _refusal(uimage() + b"x") == Refusal.CORRUPT


def test_nothing_is_refused_as_empty() -> None:
    assert _refusal(b"") == Refusal.EMPTY


@pytest.mark.parametrize("content", [b"MZ\x90\x00" * 30, b"\x7fELF" * 30, b"!<arch", b"\0"])
def test_unknown_kinds_are_refused(content: bytes) -> None:
    assert _refusal(content) == Refusal.UNKNOWN_KIND


@given(st.lists(st.integers(min_value=1, max_value=700), max_size=200))
def test_however_the_bytes_arrive_the_finding_is_the_same(sizes: list[int]) -> None:
    image = uimage()

    def chunks() -> Iterator[bytes]:
        start = 0
        for size in sizes:
            yield image[start : start + size]
            start += size
        yield image[start:]

    assert inspect(chunks()) == _inspect(image, len(image))


def marked_encrypted(image: bytes) -> bool:
    return image[:4] == mcuboot_image()[:4] and bool(image[16] & 0x0C)


@given(st.sampled_from([mcuboot_image(), uimage()]), st.binary(max_size=40), st.integers(min_value=0, max_value=4_000))
@example(mcuboot_image(), b"\x04", 16)
def test_damage_is_refused_and_never_crashes(image: bytes, junk: bytes, position: int) -> None:
    damaged = image[:position] + junk + image[position + len(junk) :]
    try:
        inspection = _inspect(damaged)
    except ArtifactRefused as refusal:
        assert refusal.code in set(Refusal)
    else:
        # An image marked as encrypted shows its structure only: its digest is over what was encrypted.
        assert marked_encrypted(damaged) or inspection.finding == _inspect(image).finding
