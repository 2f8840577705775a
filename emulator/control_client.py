"""Speaks to the local cloud's control API."""

import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

_TIMEOUT_S = 10.0
_POLL_S = 0.05


class ControlClient:
    """Status, faults and throttles of a running local cloud.

    Args:
        url: its control API (`CONTROL_URL`).
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def status(self) -> dict[str, Any]:
        """Queue lengths, event hub lag, deliveries, faults, hub statistics."""
        found: dict[str, Any] = self._call("GET", "/status")
        return found

    def device_connection_string(self, device_id: str) -> str:
        """Connection string of a registered device.

        Raises:
            KeyError: no such device.
        """
        try:
            answer = self._call("GET", f"/devices/{quote(device_id, safe='')}/connection-string")
        except urllib.error.HTTPError as error:
            raise KeyError(device_id) from error
        return str(answer["connectionString"])

    def set_throttle(self, state: str) -> None:
        """Switch the hub's documented throttles "on" or "off"."""
        self._call("POST", "/throttle", {"state": state})

    def resize_hub(self, *, tier: str, units: int = 1) -> None:
        """Give the throttles the rates of another edition ("S1", "S2", "S3", …) and number of units."""
        self._call("POST", "/throttle", {"tier": tier, "units": units})

    def set_daily_messages(self, count: int | None) -> None:
        """Set the hub's daily quota in messages of 4 KB (403002 beyond it); None lifts it."""
        self._call("POST", "/throttle", {"dailyMessages": count})

    def set_query_lag(self, lag_s: float) -> None:
        """Let hub queries see a state up to `lag_s` seconds old; 0 makes them fresh."""
        self._call("POST", "/queries", {"lagSeconds": lag_s})

    def set_fault(self, fields: dict[str, Any]) -> None:
        self._call("POST", "/faults", fields)

    def set_vault_fault(self, status: int, *, operation: str = "", count: int = 1, retry_after_s: int = 1) -> None:
        """Answer the next calls of the vault with that status."""
        fields = {"status": status, "operation": operation, "count": count, "retryAfter": retry_after_s}
        self._call("POST", "/vault-faults", fields)

    def clear_vault_faults(self) -> None:
        self._call("POST", "/vault-faults", {})

    def put_enrolment(self, registration: str, fields: dict[str, Any]) -> None:
        """Make or replace a device's own enrolment, in the words of the provisioning service's REST API."""
        self._call("PUT", f"/provisioning/enrollments/{quote(registration, safe='')}", fields)

    def registration(self, registration: str) -> dict[str, Any]:
        """What became of a device's latest registration.

        Raises:
            KeyError: it never registered.
        """
        try:
            found: dict[str, Any] = self._call("GET", f"/provisioning/registrations/{quote(registration, safe='')}")
        except urllib.error.HTTPError as error:
            raise KeyError(registration) from error
        return found

    def set_provisioning_fault(self, status: int, *, count: int = 1, retry_after_s: int = 1) -> None:
        """Answer the provisioning service's next requests with that status."""
        self._call("POST", "/provisioning-faults", {"status": status, "count": count, "retryAfter": retry_after_s})

    def clear_faults(self) -> None:
        self._call("DELETE", "/faults")

    def wait_until_quiet(self, *, timeout_s: float, still_s: float = 0.3) -> None:
        """Return when nothing has been waiting or running for `still_s` seconds; scheduled messages may wait.

        Raises:
            TimeoutError: something is still going on; the message says what.
        """
        deadline = time.monotonic() + timeout_s
        quiet_since: float | None = None
        while quiet_since is None or time.monotonic() - quiet_since < still_s:
            busy = self.busy()
            now = time.monotonic()
            quiet_since = None if busy else (quiet_since or now)
            if now > deadline:
                raise TimeoutError(f"not quiet after {timeout_s} s: {busy}")
            time.sleep(_POLL_S)

    def busy(self) -> list[str]:
        """What is waiting or running, in words; empty when all is quiet."""
        status = self.status()
        amounts = {"blob events": status["storage"]["waiting"], "held twin events": status["faults"]["held"]}
        amounts |= {f"storage queue {name}": depth for name, depth in status["storage"]["queues"].items()}
        amounts |= {f"queue {name}": each["active"] for name, each in status["queues"].items()}
        amounts |= {f"event hub {name}": each["lag"] for name, each in status["eventHubs"].items()}
        amounts |= {f"subscription {name}": each["pending"] for name, each in status["subscriptions"].items()}
        return [f"{name}: {amount}" for name, amount in amounts.items() if amount]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=content, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None


class Faults:
    """Faults for twin events: drop, duplicate, delay, reorder, merge."""

    def __init__(self, control: ControlClient) -> None:
        self._control = control

    def set(
        self,
        kind: str,
        *,
        probability: float = 1.0,
        count: int | None = None,
        hold_s: float = 0.5,
        seed: int | None = None,
    ) -> None:
        """Switch a fault on (see `emulator.faults`); different kinds add up."""
        fields = {"kind": kind, "probability": probability, "holdSeconds": hold_s}
        if count is not None:
            fields["count"] = count
        if seed is not None:
            fields["seed"] = seed
        self._control.set_fault(fields)

    def clear(self) -> None:
        """Switch all faults off; what was held comes out."""
        self._control.clear_faults()
