"""What a device that gets another id keeps, and what it does not: sequences belong to an id, slots to the device."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.__main__ import _serve
from agent.config import AgentConfig
from agent.inbox import Inbox
from agent.memory import Memory, Phase, become
from agent.memory_document import read_memory, write_memory
from agent.ports import Reassigned, StopRequested
from agent.session import Session
from shared.domain.ids import DeviceId
from tests.support.agent import Bench, Factory, Restarted


def test_a_former_id_has_its_highest_sequence_back() -> None:
    """Whoever may move a device to and fro must not bring an old offer back by it."""
    memory = become(Memory(highest_sequence=7), "dev-1")
    assert (memory.device, memory.highest_sequence) == ("dev-1", 7)

    other = become(memory, "dev-2")
    assert (other.device, other.highest_sequence, other.answered_version) == ("dev-2", -1, -1)
    back = become(replace(other, highest_sequence=3), "dev-1")
    assert back.highest_sequence == 7
    assert become(back, "dev-2").highest_sequence == 3
    assert read_memory(write_memory(back)) == back
    assert become(back, "dev-1") is back


def test_a_journal_of_an_agent_that_noted_no_id_is_its_devices() -> None:
    document = json.loads(write_memory(Memory(highest_sequence=9)))
    del document["device"], document["marks"]
    memory = become(read_memory(json.dumps(document).encode()), "dev-1")
    assert (memory.device, memory.highest_sequence, memory.marks) == ("dev-1", 9, {})


@pytest.mark.parametrize("phase", [Phase.SWITCHING, Phase.ROLLING_BACK])
def test_a_switch_under_way_is_not_forgotten(bench: Bench, factory: Factory, phase: Phase) -> None:
    bench.hub.put(factory.offer(factory.firmware("1.1.0")))
    bench.run_until(lambda report: report["state"] == "downloading")
    pending = bench.memory.pending
    assert pending is not None
    memory = replace(bench.memory, pending=replace(pending, phase=phase))
    assert become(memory, "dev-2") is memory


def test_a_device_with_another_id_takes_the_offers_of_that_id_from_the_first_on(bench: Bench, factory: Factory) -> None:
    bench.hub.put(factory.offer(factory.firmware("1.1.0", b"one"), 5))
    bench.run_until()
    assert bench.memory.highest_sequence == 5

    bench.name = DeviceId("dev-2")
    bench.hub.desired = {"$version": 1}
    bench.hub.put(factory.offer(factory.firmware("1.2.0", b"two"), 1, device=bench.name))
    bench.run_until()

    assert bench.runs == {"engine": "1.2.0"}
    assert (bench.memory.device, bench.memory.highest_sequence, bench.memory.marks) == ("dev-2", 1, {"dev-1": 5})


def test_an_offer_for_the_id_before_is_not_for_this_one(bench: Bench, factory: Factory) -> None:
    bench.run_once()
    bench.name = DeviceId("dev-2")
    bench.hub.put(factory.offer(factory.firmware("1.1.0"), 1))
    bench.run_until()
    assert bench.hub.reports[-1]["code"] == "proof_refused"
    assert bench.runs == {"engine": "1.0.0"}


def dropped(bench: Bench) -> bool:
    """Lose the connection, and go on."""
    bench.hub.drop()
    return False


def test_being_reassigned_in_the_middle_of_a_rollout_is_like_being_killed(
    bench: Bench, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the channel is opened, nobody swallows it; the next life goes on from the journal."""
    content = bytes(range(256)) * 64
    bench.hub.put(factory.offer(factory.firmware("1.1.0", content), 5))
    opened = Session.keep_open

    def reassigned(session: Session) -> None:
        if not session.is_open and bench.hub.reports:
            raise Reassigned("dev-2 from now on")
        opened(session)

    monkeypatch.setattr(Session, "keep_open", reassigned)
    with pytest.raises(Reassigned):
        bench.run_until(lambda _: dropped(bench))
    monkeypatch.undo()

    assert bench.memory.pending is not None
    bench.name = DeviceId("dev-2")
    bench.hub.desired = {"$version": 1}
    bench.hub.put(factory.offer(factory.firmware("1.2.0", b"two"), 1, device=bench.name))
    bench.run_until()
    assert bench.runs == {"engine": "1.2.0"}


class Halted(Exception):
    """Here the test wants to look at the device."""


def halt() -> None:
    raise Halted


def test_a_new_slot_is_judged_before_anybody_is_asked_who_the_device_is(bench: Bench, factory: Factory) -> None:
    """An image that cuts the device off, where no assignment is kept: the service that tells it cannot be reached."""
    bench.hub.put(factory.offer(factory.firmware("1.1.0", b"bad"), 5))
    bench.on_restart = halt
    with pytest.raises(Halted):
        bench.run_until()
    assert bench.runs == {"engine": "1.1.0"}
    root, boot = bench.folder / "root.json", bench.folder / "boot"
    root.write_bytes(bench.born_with)
    boot.write_text("the next one")
    config = AgentConfig.model_validate(
        {
            "service_url": factory.service.url,
            "root_file": root,
            "state_dir": bench.folder,
            "dps": {"id_scope": "0ne", "registration_id": "sn-1", "symmetric_key": "QUJD" * 8},
            "health": {"command": ["false"]},
            "restart": {"mode": "command", "command": ["false"], "boot_id_file": boot, "farewell_s": 0},
        }
    )
    inbox = Inbox()
    inbox.put(StopRequested())

    with pytest.raises(SystemExit):
        _serve(config, inbox)
    assert bench.runs == {"engine": "1.0.0"}


def test_a_new_slot_is_judged_before_anything_is_forgotten(bench: Bench, factory: Factory) -> None:
    """Another id between switch and verdict: the image that fails is rolled back all the same."""
    bench.hub.put(factory.offer(factory.firmware("1.1.0", b"bad"), 5))
    bench.on_restart = halt
    with pytest.raises(Halted):
        bench.run_until()
    assert bench.runs == {"engine": "1.1.0"}

    bench.name = DeviceId("dev-2")
    bench.hub.desired = {"$version": 1}
    bench.health.failure = "does not start"
    with pytest.raises(Restarted):
        bench.run_once()
    bench.run_once()

    assert bench.runs == {"engine": "1.0.0"}
    assert (bench.memory.pending, bench.memory.marks) == (None, {"dev-1": 5})
    assert {report["sequence"] for report in bench.hub.reports} == {5}
