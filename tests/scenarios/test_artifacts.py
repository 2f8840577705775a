"""I1: the same bytes become one package however often the event comes, and no artifact is lost."""

from __future__ import annotations

import hashlib

from azure.storage.queue import QueueClient

from tests.support.scenario import functions_log, functions_told, kill_and_restart, run_timer
from tests.support.scenario_artifacts import image
from tests.support.scenario_scene import Scene
from tests.support.waiting import wait_until

LARGE_BYTES = 24 * 1024 * 1024


def count_given_up(scene: Scene) -> int:
    """Entries in the blob trigger's poison queue."""
    with QueueClient.from_connection_string(scene.stack.settings["Storage"], "webjobs-blobtrigger-poison") as queue:
        return queue.get_queue_properties().approximate_message_count or 0


def test_an_artifact_dropped_twice_over_a_killed_host_becomes_one_package(scene: Scene) -> None:
    """I1: the host dies while it reads the artifact, which is then dropped once more under another file name."""
    content = image(scene.name, "2.0.0", size_bytes=LARGE_BYTES)
    before = functions_log(scene.stack).count("[on_artifact_uploaded ")
    scene.artifacts.drop(content)
    wait_until(lambda: functions_log(scene.stack).count("[on_artifact_uploaded ") > before, every_s=0.01)
    kill_and_restart(scene.stack)
    scene.artifacts.drop(content, file="image-again")

    package = scene.artifacts.wait_for_package()
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")

    assert package["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(scene.artifacts.packages()) == 1
    assert scene.artifacts.refusals() == []


def test_other_bytes_under_a_published_version_are_refused_and_change_nothing(scene: Scene) -> None:
    """I1: nothing published ever changes."""
    published = scene.artifacts.publish()

    scene.artifacts.drop(image(scene.name, "of another making"))

    assert scene.artifacts.wait_for_refusal()["code"] == "version_taken"
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")
    assert scene.artifacts.packages() == [published]


def test_an_artifact_dropped_while_nothing_runs_is_found_later(scene: Scene) -> None:
    """I1: no artifact is lost."""
    scene.stack.cloud.stop_functions()
    name = scene.artifacts.drop(image(scene.name, "2.0.0"))
    assert scene.artifacts.waiting() == [name, f"{name}.sig"]

    scene.stack.cloud.restart_functions()

    scene.artifacts.wait_for_package()
    wait_until(lambda: not scene.artifacts.waiting(), what="incoming to be empty")


def test_an_artifact_given_up_over_a_wrong_setting_is_taken_in_once_that_is_mended(scene: Scene) -> None:
    """I1: the app is set up wrongly, so each try fails until the host gives the artifact up; the sweep tries again."""
    with functions_told(scene.stack, {"TICKET_KEYS": "not even JSON"}):
        name = scene.artifacts.drop(image(scene.name, "2.0.0"))
        wait_until(lambda: count_given_up(scene) == 2, what="the host to give the artifact and its signature up")
        assert scene.artifacts.waiting() == [name, f"{name}.sig"]

    run_timer(scene.stack, "every_hour_reconcile")

    scene.artifacts.wait_for_package()
    assert scene.artifacts.waiting() == []
    assert scene.artifacts.refusals() == []
