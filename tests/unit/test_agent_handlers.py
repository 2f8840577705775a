"""Handlers and slots on a real disk, Debian packages through the real dpkg."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.adapters.health_command import HealthCommand
from agent.install.debian import DebianHandler
from agent.install.firmware import FirmwareHandler
from agent.install.registry import ready_kinds, register
from agent.install.slots import FolderSlots
from agent.ports import Content, InstallFailed

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg is not on this machine")


def build_deb(folder: Path, version: str, *, depends: str = "", text: str = "hello") -> Path:
    tree = folder / f"tree-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "opt").mkdir()
    (tree / "opt/greeting").write_text(text)
    control = (
        f"Package: greeter\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: g\n"
    )
    (tree / "DEBIAN/control").write_text(control + (f"Depends: {depends}\n" if depends else ""))
    archive = folder / f"greeter-{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(archive)], check=True)
    return archive


def content_of(file: Path, name: str, version: str) -> Content:
    octets = file.read_bytes()
    digest = hashlib.sha256(octets).hexdigest()
    return Content(file=file, name=name, version=version, length_bytes=len(octets), sha256=digest)


@pytest.fixture
def slots(tmp_path: Path) -> FolderSlots:
    slots = FolderSlots(top=tmp_path / "slots")
    slots.prepare({"engine": "1.0.0"})
    return slots


def install(slots: FolderSlots, handler: FirmwareHandler | DebianHandler, content: Content) -> Path:
    slot = slots.copy_active()
    slots.seal(slot, handler.install(content, slots.folder(slot), slots.installed(slot)))
    slots.activate(slot)
    return slots.folder(slot)


@needs_dpkg
def test_debian_packages_are_installed_by_dpkg_and_leave_the_other_slot_alone(
    tmp_path: Path, slots: FolderSlots
) -> None:
    first = install(slots, DebianHandler(), content_of(build_deb(tmp_path, "1.0-1"), "greeter", "1.0-1"))
    second = install(slots, DebianHandler(), content_of(build_deb(tmp_path, "1.0-2", text="hi"), "greeter", "1.0-2"))

    assert (first / "root/opt/greeting").read_text() == "hello"
    assert (second / "root/opt/greeting").read_text() == "hi"
    query = ["dpkg-query", f"--root={second / 'root'}", "--showformat=${Version} ${Status}", "--show", "greeter"]
    told = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    assert told == "1.0-2 install ok installed"
    assert slots.installed(slots.active()) == {"engine": "1.0.0", "greeter": "1.0-2"}


@needs_dpkg
def test_what_dpkg_refuses_comes_with_its_own_words(tmp_path: Path, slots: FolderSlots) -> None:
    archive = build_deb(tmp_path, "1.0-1", depends="nowhere-to-be-found")

    with pytest.raises(InstallFailed, match="nowhere-to-be-found"):
        install(slots, DebianHandler(), content_of(archive, "greeter", "1.0-1"))


def test_a_daemon_left_behind_does_not_hold_up_the_install(tmp_path: Path, slots: FolderSlots) -> None:
    dpkg = tmp_path / "dpkg"
    dpkg.write_text("#!/bin/sh\nsleep 8 &\necho started\n")
    dpkg.chmod(0o755)
    file = tmp_path / "package"
    file.write_bytes(b"package")
    handler = DebianHandler(command=str(dpkg), timeout_s=4)

    folder = install(slots, handler, content_of(file, "greeter", "1.0-1"))

    assert slots.installed(folder.name)["greeter"] == "1.0-1"


def test_a_machine_without_dpkg_offers_no_handler_for_debian_packages() -> None:
    handlers = register([FirmwareHandler(), DebianHandler(command="no-such-dpkg")])

    assert ready_kinds(handlers) == {"firmware"}
    with pytest.raises(ValueError, match="two handlers"):
        register([FirmwareHandler(), FirmwareHandler()])


def test_an_image_replaces_the_one_before_and_nothing_else(tmp_path: Path, slots: FolderSlots) -> None:
    for name, version in (("engine", "1.1.0"), ("gearbox", "0.1.0")):
        file = tmp_path / name
        file.write_bytes(name.encode())
        folder = install(slots, FirmwareHandler(), content_of(file, name, version))

    assert (folder / "image").read_bytes() == b"gearbox"
    assert slots.installed(slots.active()) == {"gearbox": "0.1.0"}
    assert (slots.folder(slots.inactive()) / "image").read_bytes() == b"engine"


def test_an_image_that_reads_back_wrong_is_refused(tmp_path: Path, slots: FolderSlots) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"image")
    content = Content(file=file, name="engine", version="2", length_bytes=5, sha256="0" * 64)

    with pytest.raises(InstallFailed, match="reads back"):
        install(slots, FirmwareHandler(), content)


@pytest.mark.parametrize(
    ("command", "is_healthy", "detail"),
    [
        (("sh", "-c", "test -d $GROUNDSWELL_SLOT && echo fine"), True, "fine"),
        (("sh", "-c", "echo no pulse >&2; exit 3"), False, "ended with 3: no pulse"),
        (("sh", "-c", "yes | head -c 100000; sleep 60"), False, "no verdict within 0.5 s"),
        (("/no/such/command",), False, "could not be started"),
        ((), True, ""),
    ],
)
def test_the_health_command_decides(tmp_path: Path, command: tuple[str, ...], is_healthy: bool, detail: str) -> None:
    verdict = HealthCommand(command=command, timeout_s=0.5).examine(tmp_path, name="engine", version="2")

    assert verdict.is_healthy is is_healthy
    assert detail in verdict.detail
    assert len(verdict.detail) <= 512
