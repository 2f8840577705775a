"""Whether what a device reports arrives where the relay reads it, and how long that takes."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from threading import Event, Thread
from typing import Any

from azure.iot.device import IoTHubDeviceClient

from cli.hub.calls import CheckFailed, HubCalls, Refusal
from cli.hub.changes import ChangeFeed
from cli.hub.findings import Findings, Question
from shared.wire.twins import PROPERTY

WAIT_S = 60.0
CAMPAIGN = "groundswell-check"
"""No campaign has this id, as ids of campaigns are digests: the relay passes over what names it."""

_CALL_S = 30.0
_LOOK_S = 1.0
_LOOK_AT = (
    "look at the route reported-updates of the hub: is it there, enabled, with the source TwinChangeEvents and the "
    "condition of infra/local/cloud.json; and has the hub's identity the role Azure Event Hubs Data Sender on the "
    "event hub (az iot hub message-route list, test; the metric Routing: messages orphaned or dropped)"
)

type Report = Callable[[Mapping[str, Any]], None]


def ask_arrival(
    report: Report, feed: ChangeFeed, findings: Findings, device: str, *, wait_s: float = WAIT_S, ended: Event
) -> None:
    """Report a change, and wait until it arrives, or somebody ends the check.

    Raises:
        ReadingRefused, CheckFailed: As ``ChangeFeed.take``; or the device cannot report.
    """
    mark = secrets.token_hex(8)
    began = time.monotonic()
    report({PROPERTY: _made_up(mark)})
    others = 0
    while (left_s := began + wait_s - time.monotonic()) > 0:
        if ended.is_set():
            raise CheckFailed("ended before all was asked")
        change = feed.take(min(left_s, _LOOK_S))
        if change is None:
            continue
        if change.device == device and _mark_in(change.body) == mark:
            took_s = time.monotonic() - began
            findings.note(Question.CHANGES_ARRIVE, holds=True, seen=f"after {took_s:.2f} s, its connecting included")
            return
        others += 1
    beside = f"{others} changes of other devices did: the route works for those" if others else "nothing else did"
    findings.note(
        Question.CHANGES_ARRIVE,
        holds=False,
        seen=f"what {device} reported did not arrive within {wait_s:g} s, {beside}; {_LOOK_AT}",
    )


def report_as_device(hub: HubCalls, host: str) -> Report:
    """Reports of the hub's device through the device SDK, over MQTT as agents do."""

    def report(patch: Mapping[str, Any]) -> None:
        bundle = os.environ.get("REQUESTS_CA_BUNDLE")
        options = {"server_verification_cert": Path(bundle).read_text()} if bundle else {}
        text = f"HostName={host};DeviceId={hub.device};SharedAccessKey={hub.device_key()}"
        client = IoTHubDeviceClient.create_from_connection_string(text, connection_retry=False, **options)
        client.on_background_exception = lambda _: None
        try:
            _within(client.connect)
            _within(lambda: client.patch_twin_reported_properties(dict(patch)))
        finally:
            Thread(target=client.shutdown, daemon=True).start()

    return report


def _made_up(mark: str) -> dict[str, Any]:
    return {
        "campaign": CAMPAIGN,
        "wave": 1,
        "attempt": 1,
        "sequence": 0,
        "state": "downloading",
        "code": "",
        "detail": mark,
        "progress": 0,
        "installed": {},
        "agent": "groundswell hub check",
    }


def _mark_in(body: Mapping[str, Any]) -> object:
    update = ((body.get("properties") or {}).get("reported") or {}).get(PROPERTY)
    return update.get("detail") if isinstance(update, Mapping) else None


def _within(call: Callable[[], object]) -> None:
    """The SDK's calls wait without a limit, so each gets a thread that may be left behind."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=run, daemon=True).start()
    try:
        done.result(_CALL_S)
    except FutureTimeout as error:
        raise CheckFailed(f"the device cannot reach the hub over MQTT (port 8883) within {_CALL_S:g} s") from error
    except Refusal:
        raise
    except Exception as error:
        raise CheckFailed(f"the device cannot report over MQTT (port 8883): {type(error).__name__}") from error
