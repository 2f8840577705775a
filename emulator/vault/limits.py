"""How many operations a vault takes, how many it took, and what it is told to do wrong."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.vault.errors import VaultError, forbidden, throttled

WINDOW_S = 10.0
OPERATIONS = 2_000
"""Software EC keys, per vault and ten seconds (Key Vault service limits)."""


@dataclass(slots=True)
class VaultFault:
    """What the next calls are answered with.

    Attributes:
        operation: `get`, `list`, `sign` …; empty for every one.
        count: how many more.
    """

    status: int
    operation: str = ""
    count: int = 1
    retry_after_s: int = 1

    def error(self, operation: str) -> VaultError:
        if self.status == 429:
            return throttled(self.retry_after_s)
        if self.status == 403:
            return forbidden(operation)
        return VaultError(self.status, "InternalServerError", "told to fail")


class VaultLimits:
    """Counts operations, throttles them, and fails those it was told to."""

    def __init__(self) -> None:
        self.signatures: Counter[str] = Counter()
        self._faults: list[VaultFault] = []
        self._recent: deque[float] = deque()

    def set_fault(self, fields: Mapping[str, Any]) -> None:
        """Take `{"status", "operation"?, "count"?, "retryAfter"?}`; an empty object clears all faults.

        Raises:
            ValueError: an unknown field, or no status.
        """
        if not fields:
            self._faults.clear()
            return
        if fields.keys() - {"status", "operation", "count", "retryAfter"} or "status" not in fields:
            raise ValueError("name status, and operation, count or retryAfter")
        fault = VaultFault(
            status=int(fields["status"]),
            operation=str(fields.get("operation", "")),
            count=int(fields.get("count", 1)),
            retry_after_s=int(fields.get("retryAfter", 1)),
        )
        self._faults.append(fault)

    def take(self, operation: str) -> None:
        """Count an operation.

        Raises:
            VaultError: it was one too many, or was told to fail.
        """
        for fault in self._faults:
            if fault.operation in ("", operation):
                fault.count -= 1
                if fault.count <= 0:
                    self._faults.remove(fault)
                raise fault.error(operation)
        now = time.monotonic()
        while self._recent and now - self._recent[0] > WINDOW_S:
            self._recent.popleft()
        if len(self._recent) >= OPERATIONS:
            raise throttled(int(WINDOW_S))
        self._recent.append(now)
