"""Where name, version and compatibility come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.naming import Description, Naming, choose_naming
from shared.domain.artifacts.refusals import Refusal
from shared.domain.errors import ArtifactRefused
from shared.domain.packages import PackageKind
from shared.wire.descriptions import read_description, read_metadata

FIRMWARE = Finding(kind=PackageKind.FIRMWARE)
DEBIAN = Finding(kind=PackageKind.DEBIAN, name="app", version="1:2-3", compatibility={"architecture": ("amd64",)})


def _said(**fields: object) -> Description:
    return read_description(json.dumps(fields).encode(), "app.package.json")


def _code(finding: Finding, *descriptions: Description, path: str = "file.bin") -> str:
    with pytest.raises(ArtifactRefused) as refused:
        choose_naming(finding, descriptions, path)
    return refused.value.code


def test_metadata_wins_over_description_content_and_path() -> None:
    finding = Finding(kind=PackageKind.FIRMWARE, name="embedded", version="3.0.0")
    metadata = read_metadata({"name": "from-metadata", "version": "1.0.0", "owner": "somebody"})
    naming = choose_naming(finding, [metadata, _said(name="described", version="2.0.0")], "in-path/4.0.0/file.bin")
    assert (naming.name, naming.version.text) == ("from-metadata", "1.0.0")


def test_description_wins_over_content_and_path() -> None:
    finding = Finding(kind=PackageKind.FIRMWARE, name="embedded", version="3.0.0")
    naming = choose_naming(finding, [read_metadata({}), _said(name="described")], "in-path/4.0.0/file.bin")
    assert (naming.name, naming.version.text) == ("described", "3.0.0")


def test_path_fills_in_what_nothing_else_says() -> None:
    finding = Finding(kind=PackageKind.FIRMWARE, version="3.0.0")
    naming = choose_naming(finding, [read_metadata({})], "in-path/4.0.0/file.bin")
    assert (naming.name, naming.version.text) == ("in-path", "3.0.0")


@pytest.mark.parametrize("path", ["file.bin", "a/file.bin", "a/b/c/file.bin"])
def test_other_paths_say_nothing(path: str) -> None:
    assert _code(FIRMWARE, path=path) == Refusal.NAME_MISSING


def test_missing_version_is_its_own_reason() -> None:
    assert _code(FIRMWARE, _said(name="app")) == Refusal.VERSION_MISSING


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a..b", ".hidden", "x" * 101, "naïve"])
def test_hostile_and_odd_names_are_refused(name: str) -> None:
    assert _code(FIRMWARE, _said(name=name, version="1.0.0")) == Refusal.NAME_INVALID


@pytest.mark.parametrize("version", ["latest", "1.0.0.0.0", "01.2", "../1", "1.0.0 beta"])
def test_versions_that_are_none_are_refused(version: str) -> None:
    assert _code(FIRMWARE, _said(name="app", version=version)) == Refusal.VERSION_INVALID


def test_debian_package_is_what_its_control_file_says() -> None:
    naming = choose_naming(DEBIAN, [read_metadata({})], "other/9.9/app.deb")
    assert (naming.name, naming.version.text) == ("app", "1:2-3")
    assert naming.compatibility == {"architecture": ("amd64",)}


@pytest.mark.parametrize(
    "said",
    [{"name": "other"}, {"version": "1:2-4"}, {"version": "2-3"}, {"compatibility": {"architecture": ["arm64"]}}],
)
def test_description_that_contradicts_the_control_file_is_refused(said: dict[str, object]) -> None:
    assert _code(DEBIAN, _said(**said)) == Refusal.CONTRADICTS_CONTENT


def test_described_compatibility_is_added_to_that_of_the_content() -> None:
    said = _said(name="app", compatibility={"hardware": ["gateway-2"]})
    expected = {"architecture": ("amd64",), "hardware": ("gateway-2",)}
    assert choose_naming(DEBIAN, [said], "app.deb").compatibility == expected


def test_compatibility_in_metadata_is_json() -> None:
    metadata = read_metadata({"name": "fw", "version": "1", "compatibility": '{"hardware": "mk2"}'})
    naming: Naming = choose_naming(FIRMWARE, [metadata], "fw.bin")
    assert naming.compatibility == {"hardware": ("mk2",)}


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"[]",
        b'{"nmae": "typo"}',
        b'{"name": 5}',
        b'{"version": null}',
        b'{"compatibility": []}',
        b'{"compatibility": {"hardware": []}}',
        b'{"compatibility": {"hardware": [1]}}',
        b'{"compatibility": {"": ["x"]}}',
        b"[" * 100_000,
    ],
)
def test_descriptions_that_cannot_be_used_are_refused(content: bytes) -> None:
    with pytest.raises(ArtifactRefused) as refused:
        read_description(content, "app.package.json")
    assert refused.value.code == Refusal.BAD_DESCRIPTION


def test_broken_compatibility_in_metadata_is_refused() -> None:
    with pytest.raises(ArtifactRefused) as refused:
        read_metadata({"compatibility": "gateway-2"})
    assert refused.value.code == Refusal.BAD_DESCRIPTION


def test_every_refusal_has_advice() -> None:
    assert all(refusal.advice for refusal in Refusal)


def test_every_refusal_is_documented_with_its_advice() -> None:
    page = (Path(__file__).parents[2] / "docs/artifacts.md").read_text()
    for refusal in Refusal:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{refusal}` |"))
        assert row.endswith(f"| {refusal.advice} |")
