"""Versions: the order dpkg gives, and the order Semantic Versioning gives."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidId
from shared.domain.versions import MAX_VERSION_LENGTH, Version, VersionScheme

DEBIAN = VersionScheme.DEBIAN
# Semantic Versioning 2.0, section 11, and what one to four numbers add to it.
ASCENDING = [
    "0.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.0.1",
    "1.0.1",
    "1.2",
    "1.10",
    "2",
]
debian_versions = st.from_regex(r"(?:[0-9]:)?[0-9][0-9a-zA-B.+~-]{0,8}(?:-[0-9a-b+.~]{1,4})?", fullmatch=True)


def test_dotted_versions_stand_in_semantic_order() -> None:
    versions = [Version(text) for text in ASCENDING]
    backwards = versions[::-1]
    assert sorted(backwards) == versions
    assert len(set(versions)) == len(versions)


@pytest.mark.parametrize(("one", "other"), [("1", "1.0.0.0"), ("v1.2", "1.2.0"), ("1.0+build.1", "1.0+build.2")])
def test_dotted_versions_that_mean_the_same_are_equal(one: str, other: str) -> None:
    assert Version(one) == Version(other)
    assert hash(Version(one)) == hash(Version(other))


@pytest.mark.parametrize(
    "text",
    ["", "1.", ".1", "01", "1.2.3.4.5", "latest", "1..2", "1.0-", "1.0-a..b", "1 ", "1/2", "../1", "1.0\n", "-1"],
)
def test_what_is_no_dotted_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        Version(text)


@pytest.mark.parametrize(
    "text", ["", "a1", ":1", "x:1", "1:", "1_2", "1 2", "1/2", "../1", "-1", "1.0\n", "1:2:3", "1-"]
)
def test_what_is_no_debian_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        Version(text, DEBIAN)


def test_endless_versions_are_refused_in_no_time() -> None:
    for scheme in VersionScheme:
        with pytest.raises(InvalidId):
            Version("1." * MAX_VERSION_LENGTH, scheme)


def test_versions_of_two_schemes_have_no_order() -> None:
    assert Version("1.0") != Version("1.0", DEBIAN)
    with pytest.raises(InvalidId):
        assert Version("1.0") < Version("1.0", DEBIAN)


@given(st.lists(st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,3}(-[0-9a-z.]{1,6})?", fullmatch=True), min_size=3))
def test_dotted_order_is_total(texts: list[str]) -> None:
    versions = []
    for text in texts:
        try:
            versions.append(Version(text))
        except InvalidId:
            continue
    ordered = sorted(versions)
    assert all(before <= after for before, after in pairwise(ordered))


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
@settings(max_examples=120)
@given(debian_versions, debian_versions)
@example("1.0", "1.0-0")
@example("1.0~rc1", "1.0")
@example("1.0~~", "1.0~")
@example("1.0a", "1.0+")
@example("1:0", "9")
@example("1.0-1~bpo1", "1.0-1")
@example("1.2.10", "1.2.9a")
@example("0-0", "00")
@example("1a", "1a0")
def test_debian_order_is_the_one_dpkg_decides_by(one: str, other: str) -> None:
    try:
        ours = [Version(text, DEBIAN) for text in (one, other)]
    except InvalidId:
        return
    for relation, holds in (("lt", ours[0] < ours[1]), ("eq", ours[0] == ours[1])):
        verdict = subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False, capture_output=True)
        assert (verdict.returncode == 0) == holds, f"{one} {relation} {other}"
