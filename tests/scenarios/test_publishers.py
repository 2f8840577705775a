"""Write access to ``incoming`` is not enough: only what a known publisher signed becomes a package."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from securesystemslib.signer import CryptoSigner

from tests.support.scenario_artifacts import image
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until

NEW_VERSION, NEWER_VERSION = "2.0.0", "3.0.0"


def refused(scene: Scene, count: int) -> dict[str, dict[str, Any]]:
    """File name to the reason beside it, as soon as so many artifacts of the scene are refused."""
    wait_until(lambda: len(scene.artifacts.refusals()) == count, what=f"{count} artifacts in quarantine")
    return {note["artifact"].rpartition("/")[2]: note for note in scene.artifacts.refusals()}


def quarantined(scene: Scene) -> set[str]:
    """Kinds of what lies in quarantine: ``image``, ``image.sig``, ``image.reason.json``."""
    listed = scene.blobs.get_container_client("quarantine").list_blobs(name_starts_with=f"{scene.name}/")
    parts = [blob.name.rpartition("/")[2].split(".") for blob in listed]
    return {".".join([file, *suffixes]) for file, _digits, *suffixes in parts}


def test_artifact_signed_by_a_stranger_never_becomes_a_package(scene: Scene) -> None:
    """A thief of the storage account drops an image of his own, signed properly, with a key of his own."""
    evil = image(scene.name, "evil")
    stranger = replace(scene.artifacts, publisher=CryptoSigner.generate_ecdsa())
    scene.artifacts.publish()

    stranger.drop(evil, NEWER_VERSION)

    assert scene.artifacts.wait_for_refusal()["code"] == "publisher_unknown"
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")
    assert scene.artifacts.packages(NEWER_VERSION) == []
    assert len(scene.artifacts.packages(NEW_VERSION)) == 1


def test_signature_that_does_not_fit_is_kept_aside_with_its_artifact_and_a_reason(scene: Scene) -> None:
    content = image(scene.name, NEW_VERSION)
    genuine = scene.artifacts.sign(content, NEW_VERSION)
    forged = json.loads(scene.artifacts.sign(content, NEWER_VERSION))
    forged["payload"] = json.loads(genuine)["payload"]
    signatures = {
        "unreadable": (b"no envelope", "signature_unreadable"),
        "wrong": (json.dumps(forged).encode(), "signature_wrong"),
        "mismatch": (scene.artifacts.sign(image(scene.name, "another"), NEW_VERSION), "signature_mismatch"),
    }
    for file, (signature, _) in signatures.items():
        scene.artifacts.upload(f"{scene.name}/{file}.sig", signature)
        scene.artifacts.upload(f"{scene.name}/{file}", content)

    notes = refused(scene, 3)
    assert {file: note["code"] for file, note in notes.items()} == {
        file: code for file, (_, code) in signatures.items()
    }
    assert all(note["reason"] and note["advice"] for note in notes.values())
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")
    assert quarantined(scene) == {f"{file}{suffix}" for file in signatures for suffix in ("", ".sig", ".reason.json")}
    assert scene.artifacts.packages(NEW_VERSION) == []


def test_signature_that_came_too_late_works_once_both_are_dropped_again(scene: Scene) -> None:
    content = image(scene.name, NEW_VERSION)
    name = f"{scene.name}/late"
    scene.artifacts.upload(name, content)
    assert scene.artifacts.wait_for_refusal()["code"] == "signature_missing"
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")

    scene.artifacts.upload(f"{name}.sig", scene.artifacts.sign(content, NEW_VERSION))
    scene.artifacts.upload(name, content)

    scene.artifacts.wait_for_package()
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")
