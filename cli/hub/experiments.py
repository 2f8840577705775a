"""What is tried with the device, one question after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cli.hub.calls import HubCalls, Refusal
from cli.hub.findings import Findings, Question
from shared.domain.ids import DeviceId

PROPERTY = "groundswellCheck"
_FIRST = {PROPERTY: {"kept": 1, "changed": 1}, f"{PROPERTY}Beside": 1}
_CHANGE = {PROPERTY: {"changed": 2}}
_TAKE_AWAY = {PROPERTY: {"changed": None}, f"{PROPERTY}Beside": None}
_CLEAN = {PROPERTY: None, f"{PROPERTY}Beside": None}
_TAGS = {PROPERTY: "tag"}


class Experiments:
    """Asks a hub about one of its devices, whose properties of this name are its own."""

    def __init__(self, hub: HubCalls, findings: Findings) -> None:
        self._hub = hub
        self._findings = findings

    def run(self) -> None:
        """Ask everything.

        Raises:
            Refusal: The hub refuses for another reason than who asks, such as its daily quota.
        """
        reads = self._may(Question.MAY_READ_TWINS, self._hub.read_twin)
        self._may(Question.MAY_QUERY, self._hub.query)
        patches = self._may(Question.MAY_PATCH, lambda: self._hub.patch(_FIRST, _TAGS))
        bulks = self._may(Question.MAY_BULK, lambda: self._hub.bulk_alone({f"{PROPERTY}Bulk": 1}))
        if not reads:
            return
        if patches:
            self._merge(self._hub.patch, Question.PATCH_MERGES, Question.PATCH_DELETES_NULL)
        if patches and bulks:
            self._merge(self._hub.bulk, Question.BULK_MERGES, Question.BULK_DELETES_NULL)
            self._etag_star()
            self._one_bad_entry()
        if bulks:
            self._identity()

    def clean(self) -> None:
        """Take the properties away again, for a device that stays."""
        self._hub.patch({**_CLEAN, f"{PROPERTY}Bulk": None}, {PROPERTY: None})

    def _may(self, question: Question, call: Callable[[], object]) -> bool:
        try:
            call()
        except Refusal as refusal:
            if not refusal.is_about_access:
                raise
            self._findings.note(question, holds=False, seen=str(refusal))
            return False
        self._findings.note(question, holds=True)
        return True

    def _merge(self, write: Callable[[Mapping[str, Any]], object], merges: Question, deletes: Question) -> None:
        self._hub.patch(_FIRST, _TAGS)
        write(_CHANGE)
        after = self._hub.read_twin()
        whole = _own(after.desired) == {**_FIRST, PROPERTY: {"kept": 1, "changed": 2}}
        tags = after.tags.get(PROPERTY) == "tag"
        self._findings.note(merges, holds=whole and tags, seen=f"{_CHANGE} made it {_own(after.desired)}")
        self._hub.patch(_FIRST, _TAGS)
        write(_TAKE_AWAY)
        left = _own(self._hub.read_twin().desired)
        self._findings.note(deletes, holds=left == {PROPERTY: {"kept": 1}}, seen=f"{_TAKE_AWAY} left {left}")

    def _etag_star(self) -> None:
        try:
            errors = self._hub.bulk(_CHANGE, etag="*")
        except Refusal as refusal:
            if refusal.status != 400:
                raise
            self._findings.note(Question.BULK_TAKES_ETAG_STAR, holds=False, seen=str(refusal))
            return
        seen = "; ".join(str(error.error_code) for error in errors)
        self._findings.note(Question.BULK_TAKES_ETAG_STAR, holds=not errors, seen=seen)

    def _one_bad_entry(self) -> None:
        stranger = DeviceId(f"{self._hub.device}-not-there")
        wanted = {PROPERTY: {"changed": 3}}
        errors = self._hub.bulk(wanted, stranger)
        blamed = [str(error.device_id) for error in errors]
        written = self._hub.read_twin().desired.get(PROPERTY, {}).get("changed") == 3
        codes = ", ".join(f"{error.device_id}: {error.error_code}" for error in errors) or "nobody was blamed"
        self._findings.note(
            Question.BULK_BLAMES_ONE,
            holds=written and blamed == [stranger],
            seen=f"{codes}; the other one was {'written' if written else 'not written'}",
        )

    def _identity(self) -> None:
        try:
            before = self._hub.read_identity()
            self._hub.bulk(_CHANGE)
            same = self._hub.read_identity() == before
        except Refusal as refusal:
            if not refusal.is_about_access:
                raise
            self._findings.leave_open(Question.BULK_KEEPS_IDENTITY, f"devices cannot be read: {refusal}")
            return
        self._findings.note(Question.BULK_KEEPS_IDENTITY, holds=same)


def _own(desired: Mapping[str, Any]) -> dict[str, Any]:
    """The check's own properties, without the one that only shows who may write."""
    return {key: value for key, value in desired.items() if key in _FIRST}
