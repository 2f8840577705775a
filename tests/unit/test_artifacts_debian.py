"""Debian packages: real ones, damaged ones, and ones made to do harm."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.artifacts.debian import DebianLimits, inspect_debian
from shared.domain.artifacts.expansion import ExpansionLimit
from shared.domain.artifacts.finding import Finding
from shared.domain.artifacts.inspection import inspect
from shared.domain.artifacts.refusals import Refusal
from shared.domain.artifacts.source import DigestingSource
from shared.domain.errors import ArtifactRefused
from shared.domain.packages import PackageKind
from tests.support.artifacts import COMPRESSIONS, archive, control_text, debian_package, member, tarball

LINK, HARD_LINK, DIRECTORY = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def _find(content: bytes) -> Finding:
    return inspect([content]).finding


def _refusal(content: bytes) -> str:
    with pytest.raises(ArtifactRefused) as refused:
        inspect(content[start : start + 997] for start in range(0, len(content), 997))
    assert refused.value.message
    return refused.value.code


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_control_file_says_what_the_package_is(compression: str) -> None:
    finding = _find(debian_package(compression=compression))
    assert finding == Finding(
        kind=PackageKind.DEBIAN,
        name="sensor-app",
        version="1:2.4.1-3",
        compatibility={"architecture": ("arm64",)},
        depends="libc6 (>= 2.36), adduser",
    )


def test_package_for_all_architectures_fits_every_device() -> None:
    assert _find(debian_package(control_text(architecture="all"))).compatibility == {}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
@pytest.mark.parametrize("option", ["-Zxz", "-Zgzip", "-Znone"])
def test_package_built_by_dpkg_is_taken(tmp_path: Path, option: str) -> None:
    (tmp_path / "root/DEBIAN").mkdir(parents=True)
    (tmp_path / "root/DEBIAN/control").write_text(control_text(architecture="all"))
    deep = tmp_path / "root/usr/share" / "/".join(["a-folder-with-a-long-name"] * 8)
    deep.mkdir(parents=True)
    (deep / "note").write_text("hello\n")
    (tmp_path / "root/usr/share/alias").symlink_to("/etc/hosts")
    package = tmp_path / "built.deb"
    command = ["dpkg-deb", "--root-owner-group", option, "--build", str(tmp_path / "root"), str(package)]
    subprocess.run(command, check=True, capture_output=True)
    assert _find(package.read_bytes()).version == "1:2.4.1-3"


def test_package_compressed_with_zstandard_is_refused_with_advice() -> None:
    package = archive([("debian-binary", b"2.0\n"), ("control.tar.zst", b"(\xb5/\xfd"), ("data.tar.zst", b"")])
    assert _refusal(package) == Refusal.COMPRESSION_UNSUPPORTED
    assert "-Zxz" in Refusal.COMPRESSION_UNSUPPORTED.advice


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_package_cut_short_is_truncated(share: float) -> None:
    package = debian_package()
    assert _refusal(package[: int(len(package) * share)]) == Refusal.TRUNCATED


def test_package_without_data_is_truncated() -> None:
    control = lzma.compress(tarball([member("./control", control_text().encode())]))
    package = archive([("debian-binary", b"2.0\n"), ("control.tar.xz", control)])
    assert _refusal(package) == Refusal.TRUNCATED


@pytest.mark.parametrize(
    "members",
    [
        [("control.tar", b"")],
        [("debian-binary", b"3.0\n"), ("control.tar", b"")],
        [("debian-binary", b"2.0\n"), ("data.tar", b""), ("control.tar", b"")],
        [("debian-binary", b"2.0\n"), ("control.tar", tarball([])), ("data.tar", b"")],
        [("debian-binary", b"2.0\n"), ("control.tar.gz", b"no gzip at all"), ("data.tar", b"")],
        [("debian-binary", b"2.0\n"), ("control.tar", b"no tar at all" * 100), ("data.tar", b"")],
    ],
)
def test_package_with_the_wrong_parts_is_corrupt(members: list[tuple[str, bytes]]) -> None:
    assert _refusal(archive(members)) == Refusal.CORRUPT


@pytest.mark.parametrize("field", ["Package", "Version", "Architecture"])
def test_control_file_must_have_its_required_fields(field: str) -> None:
    lines = [line for line in control_text().splitlines() if not line.startswith(field)]
    assert _refusal(debian_package("\n".join(lines))) == Refusal.CORRUPT


HOSTILE_DATA = {
    "an absolute path": [member("/etc/passwd", b"x")],
    "a path that climbs": [member("./usr/../../etc/passwd", b"x")],
    "a path that climbs at once": [member("../etc/passwd", b"x")],
    "a long path that climbs": [member("./" + "a/" * 60 + "../" * 61 + "x", b"x")],
    "a symbolic link that climbs": [member("./usr/lib/x", type=LINK, linkname="../../../etc/passwd")],
    "a hard link to an absolute path": [member("./x", type=HARD_LINK, linkname="/etc/shadow")],
    "a hard link that climbs": [member("./x", type=HARD_LINK, linkname="../../etc/shadow")],
    "a write through an absolute symbolic link": [
        member("./usr/x", type=LINK, linkname="/etc"),
        member("./usr/x/passwd", b"x"),
    ],
    "a write through a disguised symbolic link": [
        member("./usr/x", type=LINK, linkname="/"),
        member(".//usr/./x//etc/passwd", b"x"),
    ],
    "a hard link through a symbolic link": [
        member("x", type=LINK, linkname="/etc"),
        member("./y", type=HARD_LINK, linkname="./x/shadow"),
    ],
}


@pytest.mark.parametrize("attack", HOSTILE_DATA)
def test_members_that_leave_the_folder_are_hostile(attack: str) -> None:
    assert _refusal(debian_package(data=HOSTILE_DATA[attack])) == Refusal.HOSTILE_PATH


HOSTILE_CONTROL = {
    "a script outside": member("../../etc/cron.d/x", b"x"),
    "an absolute script": member("/postinst", b"x"),
    "a symbolic link": member("./postinst", type=LINK, linkname="preinst"),
    "a hard link": member("./postinst", type=HARD_LINK, linkname="./control"),
    "a device": member("./postinst", type=tarfile.BLKTYPE),
}


@pytest.mark.parametrize("attack", HOSTILE_CONTROL)
def test_control_archive_holds_plain_files_only(attack: str) -> None:
    assert _refusal(debian_package(control_members=[HOSTILE_CONTROL[attack]])) == Refusal.HOSTILE_PATH


def test_links_as_packages_really_have_them_are_taken() -> None:
    data = [
        member("./etc", type=DIRECTORY),
        member("./etc/alternatives/editor", type=LINK, linkname="/usr/bin/vim"),
        member("./usr/lib/libx.so", type=LINK, linkname="../lib64/libx.so.1"),
        member("./usr/bin/one", b"x"),
        member("./usr/bin/two", type=HARD_LINK, linkname="./usr/bin/one"),
        member("./usr/share/a..b/file..txt", b"x"),
        member("./usr/share/" + "long-name-" * 30, b"x"),
    ]
    assert _find(debian_package(data=data)).name == "sensor-app"


def test_pax_headers_are_refused_because_dpkg_cannot_read_them() -> None:
    data = tarball([member("./" + "n" * 300, b"x")], tarfile.PAX_FORMAT)
    control = tarball([member("./control", control_text().encode())])
    package = archive([("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
    assert _refusal(package) == Refusal.CORRUPT


def test_endless_member_names_are_not_read_into_memory() -> None:
    info, _ = member("././@LongLink", b"")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    data = info.tobuf(tarfile.GNU_FORMAT)
    control = tarball([member("./control", control_text().encode())])
    package = archive([("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
    assert _refusal(package) == Refusal.CORRUPT


@pytest.mark.parametrize("compression", [".gz", ".xz", ".bz2"])
def test_decompression_bomb_is_refused_before_it_is_unpacked(compression: str) -> None:
    package = debian_package(data=[member("./zeros", bytes(8_000_000))], compression=compression)
    limit = ExpansionLimit(max_bytes=4_000_000)
    with pytest.raises(ArtifactRefused) as refused:
        inspect_debian(DigestingSource([package]), DebianLimits(data=limit))
    assert refused.value.code == Refusal.DECOMPRESSION_BOMB


def test_content_denser_than_packages_are_is_a_bomb() -> None:
    package = debian_package(data=[member("./zeros", bytes(8_000_000))])
    dense = ExpansionLimit(max_bytes=10**9, max_ratio=50, free_bytes=1_000_000)
    with pytest.raises(ArtifactRefused) as refused:
        inspect_debian(DigestingSource([package]), DebianLimits(data=dense))
    assert refused.value.code == Refusal.DECOMPRESSION_BOMB


def test_concatenated_and_padded_streams_are_one() -> None:
    half = tarball([member("./control", control_text().encode())])
    control = gzip.compress(half[:600]) + gzip.compress(half[600:]) + bytes(700)
    data = lzma.compress(tarball([])) + bytes(8)
    package = archive([("debian-binary", b"2.0\n"), ("control.tar.gz", control), ("data.tar.xz", data)])
    assert _find(package).name == "sensor-app"


@settings(max_examples=150)
@given(st.binary(min_size=1, max_size=30), st.integers(min_value=8, max_value=1_500))
def test_damage_is_refused_and_never_crashes(junk: bytes, position: int) -> None:
    package = debian_package(compression=".gz")
    damaged = package[:position] + junk + package[position + len(junk) :]
    try:
        _find(damaged)
    except ArtifactRefused as refusal:
        assert refusal.code in set(Refusal)
