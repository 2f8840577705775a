"""``groundswell keys``, as key holders use it: a ceremony with files on sticks, and every way it can go wrong."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from getpass import GetPassWarning
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tuf.api.metadata import Metadata, Root, Targets

from cli.__main__ import main
from shared.trust.authorities import PublisherRule, read_authorities

HOLDERS = ("alice", "bob", "carol")


class Ceremony:
    """A table with sticks on it: a folder for each holder, and one that is passed around."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.words = folder / "words"
        self.words.write_text("correct horse\n")

    def run(self, *arguments: object) -> str:
        """What the command says; it must succeed."""
        self.capsys.readouterr()
        status = main(["keys", *map(str, arguments)])
        said = self.capsys.readouterr()
        assert status == 0, said.err
        return said.out

    def refuse(self, *arguments: object) -> str:
        """Why the command refuses; it must."""
        self.capsys.readouterr()
        assert main(["keys", *map(str, arguments)]) == 1
        return self.capsys.readouterr().err

    def key(self, name: str) -> Path:
        """A new key on the holder's stick; its public part."""
        stick = self.folder / name
        stick.mkdir(exist_ok=True)
        if not (stick / "key.pem").exists():
            self.run("new", stick / "key.pem", "--passphrase-file", self.words)
        return stick / "key.pem.pub"

    def sign(self, file: Path, holder: str, *options: object) -> str:
        key = self.folder / holder / "key.pem"
        return self.run("sign", file, "--key", key, "--passphrase-file", self.words, *options)

    def roots(self) -> list[str]:
        """Options that give the roles their keys."""
        named = [("root", holder) for holder in HOLDERS]
        named += [("targets", "tess"), ("snapshot", "snap"), ("timestamp", "time")]
        return [text for role, name in named for text in ("--key", f"{role}={self.key(name)}")]


@pytest.fixture
def ceremony(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Ceremony]:
    yield Ceremony(tmp_path, capsys)


@pytest.fixture
def root(ceremony: Ceremony) -> Path:
    """Root 1, signed by two of three."""
    path = ceremony.folder / "1.root.json"
    ceremony.run("root", "--out", path, *ceremony.roots())
    ceremony.sign(path, "alice")
    assert "complete" in ceremony.sign(path, "bob")
    return path


def keyid(path: Path) -> str:
    return next(iter(Metadata[Root].from_file(str(path)).signatures))


def test_two_of_three_holders_make_a_root(ceremony: Ceremony) -> None:
    path = ceremony.folder / "1.root.json"
    assert "root 1" in ceremony.run("root", "--out", path, *ceremony.roots())
    assert "1 of 2 signatures for root 1: 1 missing" in ceremony.sign(path, "alice")
    assert "2 of 2 signatures for root 1: complete" in ceremony.sign(path, "carol")
    root = Metadata[Root].from_file(str(path))
    root.verify_delegate("root", root)
    assert root.signed.consistent_snapshot
    assert len(root.signed.roles["root"].keyids) == 3
    shown = ceremony.run("show", path)
    assert "root: 2 of 3" in shown
    assert "timestamp: 1 of 1" in shown


def test_a_passphrase_that_nobody_can_type_is_asked_for_by_file(
    ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", _no_terminal)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.warns(GetPassWarning):
        assert "give --passphrase-file" in ceremony.refuse("new", ceremony.folder / "key.pem")
    assert not (ceremony.folder / "key.pem").exists()


def _no_terminal(*_: object, **__: object) -> int:
    raise OSError("no such device")


def test_signatures_collected_on_separate_sticks_are_merged(ceremony: Ceremony) -> None:
    proposal = ceremony.folder / "proposal.json"
    ceremony.run("root", "--out", proposal, *ceremony.roots())
    copies = []
    for holder in ("alice", "bob"):
        copies.append(ceremony.folder / holder / "1.root.json")
        copies[-1].write_bytes(proposal.read_bytes())
        ceremony.sign(copies[-1], holder)
    merged = ceremony.folder / "1.root.json"
    assert "2 signatures" in ceremony.run("merge", *copies, "--out", merged)
    root = Metadata[Root].from_file(str(merged))
    root.verify_delegate("root", root)


def test_targets_role_names_whose_intents_and_artifacts_are_believed(ceremony: Ceremony, root: Path) -> None:
    path = ceremony.folder / "1.targets.json"
    named = ["--bins", ceremony.key("bins"), "--intents", ceremony.key("intents")]
    publisher = ["--publisher", f"acme={ceremony.key('acme')}", "--packages", "acme=pump-*"]
    ceremony.run("targets", "--out", path, *named, *publisher)
    assert "complete" in ceremony.sign(path, "tess", "--root", root)
    targets = Metadata[Targets].from_file(str(path))
    Metadata[Root].from_file(str(root)).verify_delegate("targets", targets)
    (acme,) = read_authorities(targets.signed).publishers
    assert (acme.name, acme.packages) == ("acme", ("pump-*",))

    second = ceremony.folder / "2.targets.json"
    changes = [
        "--publisher",
        f"north={ceremony.key('north')}",
        "--packages",
        "north=valve",
        "--remove-publisher",
        "acme",
    ]
    ceremony.run("targets", "--from", path, "--out", second, *changes)
    (named,) = read_authorities(Metadata[Targets].from_file(str(second)).signed).publishers
    assert named.name == "north"
    assert Metadata[Targets].from_file(str(second)).signed.version == 2
    assert "north for valve" in ceremony.run("show", second, "--root", root)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "root"])
def test_each_role_is_rotated_by_old_and_new_holders(ceremony: Ceremony, root: Path, role: str) -> None:
    second = ceremony.folder / "2.root.json"
    keys = ["dora", "emil", "fay"] if role == "root" else ["new"]
    options = [text for name in keys for text in ("--key", ceremony.key(name))]
    ceremony.run("rotate", role, "--from", root, "--out", second, *options)
    for holder in ("alice", "bob"):
        ceremony.sign(second, holder, "--before", root)
    for holder in keys[:2] if role == "root" else []:
        ceremony.sign(second, holder)
    before, after = (Metadata[Root].from_file(str(path)) for path in (root, second))
    before.verify_delegate("root", after)
    after.verify_delegate("root", after)
    assert not set(before.signed.roles[role].keyids) & set(after.signed.roles[role].keyids)


def test_revoked_key_is_in_no_role_any_more(ceremony: Ceremony, root: Path) -> None:
    signed = Metadata[Root].from_file(str(root)).signed
    stolen = signed.roles["timestamp"].keyids[0]
    refusal = ceremony.refuse("revoke", stolen[:12], "--from", root, "--out", ceremony.folder / "x.json")
    assert "timestamp would need 1 signatures and have 0 keys" in refusal

    second = ceremony.folder / "2.root.json"
    lost = signed.roles["root"].keyids[2]
    weak = ceremony.refuse("revoke", lost[:12], "--from", root, "--out", second)
    assert "2 root keys instead of 3" in weak
    assert not second.exists()
    ceremony.run("revoke", lost[:12], "--from", root, "--out", second, "--yes-weaken")
    assert lost not in Metadata[Root].from_file(str(second)).signed.keys


@pytest.mark.parametrize(
    ("options", "weakness"),
    [
        (["--threshold", "root=1"], "root needs 1 signatures instead of 2"),
        (["--threshold", "root=3"], "every root key is needed"),
        (["--key", "snapshot={time}"], "is in several roles"),
    ],
)
def test_a_weaker_root_is_proposed_only_on_purpose(
    ceremony: Ceremony, root: Path, options: list[str], weakness: str
) -> None:
    second = ceremony.folder / "2.root.json"
    options = [option.format(time=ceremony.key("time")) for option in options]
    refusal = ceremony.refuse("root", "--from", root, "--out", second, *options)
    assert weakness in refusal
    assert "--yes-weaken" in refusal
    assert not second.exists()
    ceremony.run("root", "--from", root, "--out", second, *options, "--yes-weaken")
    assert Metadata[Root].from_file(str(second)).signed.version == 2


def test_unsigned_artifacts_are_allowed_only_on_purpose(ceremony: Ceremony) -> None:
    path = ceremony.folder / "1.targets.json"
    options = ["--bins", ceremony.key("bins"), "--intents", ceremony.key("intents"), "--publishers", "optional"]
    assert "whoever can write to incoming can publish" in ceremony.refuse("targets", "--out", path, *options)
    ceremony.run("targets", "--out", path, *options, "--yes-weaken")
    assert read_authorities(Metadata[Targets].from_file(str(path)).signed).publisher_rule is PublisherRule.OPTIONAL


def test_threshold_larger_than_the_keys_is_refused(ceremony: Ceremony, root: Path) -> None:
    refusal = ceremony.refuse("root", "--from", root, "--out", ceremony.folder / "x", "--threshold", "targets=2")
    assert "targets would need 2 signatures and have 1 keys; add keys, or give another threshold" in refusal


def test_signature_over_other_bytes_is_named(ceremony: Ceremony, root: Path) -> None:
    document = Metadata[Root].from_file(str(root))
    document.signed.roles["timestamp"].threshold = 2
    root.write_bytes(document.to_bytes())
    refusal = ceremony.refuse("show", root)
    assert "is over other bytes; have its holder sign this file" in refusal
    assert keyid(root)[:12] in refusal


def test_key_that_the_role_does_not_have_is_refused(ceremony: Ceremony, root: Path) -> None:
    ceremony.key("mallory")
    options = ("--key", ceremony.folder / "mallory/key.pem", "--passphrase-file", ceremony.words)
    assert "is no root key of the file at hand" in ceremony.refuse("sign", root, *options)


def test_different_proposals_are_not_merged(ceremony: Ceremony, root: Path) -> None:
    other = ceremony.folder / "other.json"
    ceremony.run("root", "--from", root, "--out", other)
    assert "different proposals" in ceremony.refuse("merge", root, other, "--out", ceremony.folder / "x")


def test_key_of_the_wrong_type_is_refused_with_what_to_make(ceremony: Ceremony) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    path = ceremony.folder / "rsa.pub"
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    refusal = ceremony.refuse("root", "--out", ceremony.folder / "x", *ceremony.roots(), "--key", f"root={path}")
    assert "RSA keys are not used here; make an ECDSA P-256 or an Ed25519 key" in refusal


@pytest.mark.parametrize("content", [b"", b"{}", b"hello"])
def test_file_that_is_no_metadata_is_named(ceremony: Ceremony, content: bytes) -> None:
    path = ceremony.folder / "broken.json"
    path.write_bytes(content)
    assert "broken.json is no metadata file" in ceremony.refuse("show", path)


def test_private_key_is_not_shown_and_not_overwritten(ceremony: Ceremony) -> None:
    ceremony.key("alice")
    path = ceremony.folder / "alice/key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert "is a private key" in ceremony.refuse("show", path)
    assert "never overwritten" in ceremony.refuse("new", path, "--no-passphrase")


def test_expired_proposal_is_not_signed(ceremony: Ceremony, root: Path) -> None:
    policy = ceremony.folder / "trust.toml"
    policy.write_text('[root]\nexpires = "1h"\n')
    second = ceremony.folder / "2.root.json"
    ceremony.run("root", "--from", root, "--out", second, "--policy", policy)
    document = Metadata[Root].from_file(str(second))
    document.signed.expires = document.signed.expires.replace(year=2020)
    second.write_bytes(document.to_bytes())
    options = ("--key", ceremony.folder / "alice/key.pem", "--passphrase-file", ceremony.words)
    assert "has expired" in ceremony.refuse("sign", second, *options)
