"""``groundswell hub check``: with a throw-away device, find out which settings are safe on a hub."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from cli.hub.arrival import WAIT_S, ask_arrival, report_as_device
from cli.hub.calls import CheckFailed, HubCalls, Refusal, host_of, open_hub
from cli.hub.changes import EVENT_HUB, GROUP, ReadingRefused, open_changes
from cli.hub.experiments import Experiments
from cli.hub.findings import MEANING, Exit, Findings, Question
from cli.hub.throttling import Throttling, Write, provoke
from cli.keys.files import Actions, guarded
from shared.domain.ids import DeviceId, device_id
from shared.settings import TwinWriterKind

PREFIX = "groundswell-check-"
_DELETE_ATTEMPTS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ADVICE = {
    Exit.BULK_IS_SAFE: "TWIN_WRITER may be patch or bulk; bulk takes a hundredth of the calls",
    Exit.ONLY_PATCH_IS_SAFE: "TWIN_WRITER must be patch",
    Exit.NOT_FIT: "the service cannot work with this hub as this identity",
}


def add_actions(actions: Actions) -> None:
    """Register ``check``."""
    check = actions.add_parser(
        "check",
        help="make a throw-away device, find out what the hub does with it, delete it",
        description="Exit status: 0 patch and bulk are safe, 3 only patch is, 4 neither or something is not allowed, "
        "1 the check could not be made.",
    )
    named = os.environ.get("IotHub") or os.environ.get("IotHub__hostName", "")  # noqa: SIM112 - Azure's own spelling
    check.add_argument("--hub", default=named, help="connection string, or <hub>.azure-devices.net; default: $IotHub")
    check.add_argument("--device", metavar="ID", help="use this spare device, which stays, instead of making one")
    check.add_argument(
        "--provoke-throttling",
        action="store_true",
        help="write until the hub answers 429: takes the rate away from everybody else for up to a minute",
    )
    events = os.environ.get("EventHub") or os.environ.get("EventHub__fullyQualifiedNamespace", "")  # noqa: SIM112
    check.add_argument(
        "--events",
        default=events,
        help="also see a reported change arrive: <namespace>.servicebus.windows.net or a connection string; "
        f"default: $EventHub. It is read in the consumer group {GROUP}",
    )
    check.add_argument("--event-hub", default=EVENT_HUB, help="its name; default: %(default)s")
    check.add_argument("--device-host", default="", help="where devices connect, if it is not the hub's own name")
    check.add_argument("--wait", type=float, default=WAIT_S, metavar="S", help="for the change; default: %(default)g")
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(run=guarded(_run))


def _run(arguments: argparse.Namespace) -> int:
    findings = Findings()
    throttling: dict[str, Throttling] = {}
    device = device_id(arguments.device) if arguments.device else DeviceId(PREFIX + secrets.token_hex(6))
    hub = HubCalls(open_hub(arguments.hub), device)
    try:
        with _ended_by_signals(hub), _device(hub, findings, spare=arguments.device is not None) as is_there:
            if is_there:
                Experiments(hub, findings).run()
                if arguments.events:
                    _ask_arrival(hub, arguments, findings)
                if arguments.provoke_throttling:
                    throttling = _provoke(hub, findings)
    except Refusal as refusal:
        raise CheckFailed(f"the hub refuses: {refusal} {refusal.message}") from refusal
    _show(findings, throttling, as_json=arguments.json)
    return findings.exit


def _ask_arrival(hub: HubCalls, arguments: argparse.Namespace, findings: Findings) -> None:
    if arguments.device is not None:
        findings.leave_open(Question.CHANGES_ARRIVE, "asked with a made device only: a spare one's reports are its own")
        return
    report = report_as_device(hub, arguments.device_host or host_of(arguments.hub))
    try:
        with open_changes(arguments.events, arguments.event_hub) as feed:
            findings.note(Question.MAY_READ_CHANGES, holds=True)
            hub.enable_device()
            ask_arrival(report, feed, findings, hub.device, wait_s=arguments.wait, ended=hub.ended)
    except ReadingRefused as refused:
        findings.note(Question.MAY_READ_CHANGES, holds=False, seen=str(refused))
    except CheckFailed as error:
        if hub.ended.is_set():
            raise
        findings.leave_open(Question.CHANGES_ARRIVE, error.message)


def _provoke(hub: HubCalls, findings: Findings) -> dict[str, Throttling]:
    ways: dict[Question, tuple[TwinWriterKind, Write]] = {
        Question.MAY_PATCH: (TwinWriterKind.PATCH, hub.patch),
        Question.MAY_BULK: (TwinWriterKind.BULK, hub.bulk_alone),
    }
    return {kind.value: provoke(write) for question, (kind, write) in ways.items() if findings.holds(question)}


@contextmanager
def _device(hub: HubCalls, findings: Findings, *, spare: bool) -> Iterator[bool]:
    """Whether the device is there for the block; what was made is deleted, and what was written taken away."""
    if spare:
        try:
            yield True
        finally:
            _allow_cleaning(hub)
            _leave_as_it_was(hub, findings)
        return
    print(f"device {hub.device} is made, and deleted at the end", file=sys.stderr)
    try:
        yield _make(hub, findings)
    finally:
        # Also where making it seemed to fail: an answer may be lost on its way.
        _allow_cleaning(hub)
        _delete(hub, findings)


def _make(hub: HubCalls, findings: Findings) -> bool:
    try:
        hub.make_device()
    except Refusal as refusal:
        if not refusal.is_about_access:
            raise
        findings.note(Question.MAY_MAKE_DEVICES, holds=False, seen=str(refusal))
        return False
    findings.note(Question.MAY_MAKE_DEVICES, holds=True)
    return True


def _delete(hub: HubCalls, findings: Findings) -> None:
    for left in reversed(range(_DELETE_ATTEMPTS)):
        try:
            hub.delete_device()
        except (Refusal, CheckFailed) as error:
            if findings[Question.MAY_MAKE_DEVICES].answer == "no":
                return
            if not left:
                print(f"DELETE IT YOURSELF: device {hub.device} is still there: {error}", file=sys.stderr)
        else:
            return


def _leave_as_it_was(hub: HubCalls, findings: Findings) -> None:
    try:
        if findings.holds(Question.MAY_PATCH):
            Experiments(hub, findings).clean()
    except (Refusal, CheckFailed) as error:
        print(f"device {hub.device} keeps properties groundswellCheck…: {error}", file=sys.stderr)


@contextmanager
def _ended_by_signals(hub: HubCalls) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the block with its next call.

    A handler that raised could do so in a finalizer, where Python drops the exception and goes on.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        hub.ended.set()

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _allow_cleaning(hub: HubCalls) -> None:
    """No signal ends the calls from here on."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    hub.ended.clear()


def _show(findings: Findings, throttling: Mapping[str, Throttling], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_document(findings, throttling), indent=2))
        return
    for question in Question:
        found = findings[question]
        print(f"{found.answer:<8} {MEANING[question]}" + (f"  ({found.seen})" if found.seen else ""))
    for question, grant in findings.missing.items():
        print(f"\nNot allowed: {MEANING[question].removeprefix('this identity may ')}. Give it: {grant}.")
    for kind, seen in throttling.items():
        print(f"\n{_in_words(kind, seen)}")
    print(f"\n{_ADVICE[findings.exit]}.")


def _in_words(kind: str, seen: Throttling) -> str:
    passed = f"{seen.writes} writes in {seen.seconds} s"
    if not seen.status:
        return f"Throttling of {kind}: none, {passed}."
    wait = "no Retry-After" if seen.retry_after is None else f"Retry-After {seen.retry_after}"
    return f"Throttling of {kind}: {seen.status} {seen.code} after {passed}, {wait}: {seen.message}"


def _document(findings: Findings, throttling: Mapping[str, Throttling]) -> dict[str, object]:
    safe = [writer.value for writer in TwinWriterKind if findings.is_safe(writer)]
    return {
        "findings": {
            question.value: {"answer": findings[question].answer.value, "seen": findings[question].seen}
            for question in Question
        },
        "missing": {question.value: grant for question, grant in findings.missing.items()},
        "throttling": {kind: seen.as_document() for kind, seen in throttling.items()},
        "safe": {"TWIN_WRITER": safe},
        "fit": findings.exit is not Exit.NOT_FIT,
    }
