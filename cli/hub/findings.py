"""What was found out about a hub, and which settings follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from shared.settings import TwinWriterKind


class Question(StrEnum):
    """What is asked of a hub. ``may_`` are about the identity that asks, the others about the hub."""

    MAY_MAKE_DEVICES = "may_make_devices"
    MAY_READ_TWINS = "may_read_twins"
    MAY_QUERY = "may_query"
    MAY_PATCH = "may_patch"
    PATCH_MERGES = "patch_merges"
    PATCH_DELETES_NULL = "patch_deletes_null"
    MAY_BULK = "may_bulk"
    BULK_MERGES = "bulk_merges"
    BULK_DELETES_NULL = "bulk_deletes_null"
    BULK_TAKES_ETAG_STAR = "bulk_takes_etag_star"
    BULK_KEEPS_IDENTITY = "bulk_keeps_identity"
    BULK_BLAMES_ONE = "bulk_blames_one"
    MAY_READ_CHANGES = "may_read_changes"
    CHANGES_ARRIVE = "changes_arrive"


class Answer(StrEnum):
    """What was found."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


MEANING: Mapping[Question, str] = {
    Question.MAY_MAKE_DEVICES: "this identity may make and delete devices",
    Question.MAY_READ_TWINS: "this identity may read twins",
    Question.MAY_QUERY: "this identity may query for devices",
    Question.MAY_PATCH: "this identity may patch twins",
    Question.PATCH_MERGES: "a patch keeps what it does not name",
    Question.PATCH_DELETES_NULL: "a null in a patch takes the property away",
    Question.MAY_BULK: "this identity may write twins in bulk (importMode updateTwin)",
    Question.BULK_MERGES: "a bulk entry keeps what it does not name, tags included",
    Question.BULK_DELETES_NULL: "a null in a bulk entry takes the property away",
    Question.BULK_TAKES_ETAG_STAR: "a bulk entry may name the etag *",
    Question.BULK_KEEPS_IDENTITY: "a bulk entry leaves the device's keys and status alone",
    Question.BULK_BLAMES_ONE: "a bulk call with a device that is not there writes the others, and names that one",
    Question.MAY_READ_CHANGES: "this identity may read the event hub",
    Question.CHANGES_ARRIVE: "what a device reports arrives in the event hub",
}

GRANTS: Mapping[Question, str] = {
    Question.MAY_MAKE_DEVICES: "role IoT Hub Registry Contributor, or a policy with RegistryWrite",
    Question.MAY_READ_TWINS: "role Groundswell Twin Reader, or a policy with ServiceConnect",
    Question.MAY_QUERY: "role Groundswell Twin Reader, or a policy with ServiceConnect",
    Question.MAY_PATCH: "role Groundswell Twin Writer, or a policy with ServiceConnect",
    Question.MAY_READ_CHANGES: "role Azure Event Hubs Data Receiver on the event hub",
    Question.MAY_BULK: "role IoT Hub Registry Contributor besides, or a policy with RegistryWrite",
}
"""What lets an identity in (infra/roles.json; IoT Hub, control access by Entra ID): a query takes ``twins/read``, a
bulk call ``devices/write`` and ``devices/delete``."""

_NEEDED = (Question.MAY_READ_TWINS, Question.MAY_QUERY)
_SAFE_WITH: Mapping[TwinWriterKind, tuple[Question, ...]] = {
    TwinWriterKind.PATCH: (Question.MAY_PATCH, Question.PATCH_MERGES, Question.PATCH_DELETES_NULL),
    TwinWriterKind.BULK: (
        Question.MAY_BULK,
        Question.BULK_MERGES,
        Question.BULK_DELETES_NULL,
        Question.BULK_KEEPS_IDENTITY,
        Question.BULK_BLAMES_ONE,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An answer, with what was seen."""

    answer: Answer = Answer.UNKNOWN
    seen: str = ""


class Exit(IntEnum):
    """The command's exit status. 1 is for a check that could not be made, 2 for wrong arguments."""

    BULK_IS_SAFE = 0
    ONLY_PATCH_IS_SAFE = 3
    NOT_FIT = 4


class Findings:
    """All answers of one check."""

    def __init__(self) -> None:
        self._found = {question: Finding() for question in Question}

    def __getitem__(self, question: Question) -> Finding:
        return self._found[question]

    def note(self, question: Question, *, holds: bool, seen: str = "") -> None:
        """Note an answer."""
        self._found[question] = Finding(answer=Answer.YES if holds else Answer.NO, seen=seen)

    def leave_open(self, question: Question, why: str) -> None:
        """Note why there is no answer."""
        self._found[question] = Finding(seen=why)

    def holds(self, question: Question) -> bool:
        """Whether the answer is yes."""
        return self._found[question].answer is Answer.YES

    def is_safe(self, writer: TwinWriterKind) -> bool:
        """Whether ``TWIN_WRITER`` may say so on this hub, for this identity."""
        return all(map(self.holds, _SAFE_WITH[writer]))

    @property
    def missing(self) -> dict[Question, str]:
        """What this identity may not, with what would let it."""
        return {question: grant for question, grant in GRANTS.items() if self[question].answer is Answer.NO}

    @property
    def exit(self) -> Exit:
        """What the check comes to."""
        asked = (self[question].answer for question in (Question.MAY_READ_CHANGES, Question.CHANGES_ARRIVE))
        if Answer.NO in asked or not all(map(self.holds, _NEEDED)) or not self.is_safe(TwinWriterKind.PATCH):
            return Exit.NOT_FIT
        return Exit.BULK_IS_SAFE if self.is_safe(TwinWriterKind.BULK) else Exit.ONLY_PATCH_IS_SAFE
