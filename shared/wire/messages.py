"""Queue messages: versioned JSON, parsed once at the edge.

Every body is ``{"v": 1, …}``, fields that have their default left out. A missing or wrong field is a
``MalformedMessage``: the message is parked. A higher version, a field or a word that this version does not know is a
``NewerMessage``: it waits for an instance that does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.domain.errors import MalformedMessage, NewerMessage
from shared.domain.ids import CampaignId, OperationId
from shared.domain.walks import BatchPurpose
from shared.domain.waves import DeviceBatch

VERSION = 1

_NOT_KNOWN = frozenset({"extra_forbidden", "enum", "unexpected_keyword_argument"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRequest:
    """Put an accepted package into the index."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStep:
    """Look at a campaign and take its next step; session = campaign id.

    Attributes:
        step: The step it stands for; once the campaign is past it, the message is stale and does nothing. None asks
            only whether a gate has something to say, which is never stale.
        wave: The wave in which something changed, where a gate is asked; None: the one in hand.
    """

    campaign: CampaignId
    step: int | None = None
    wave: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWork:
    """Write the twins of one device batch.

    Attributes:
        retry: How often the batch has sent itself again, because the hub had no room for all of it.
        slot_epoch_s: The second of Unix time of its time slot; None where it has none and must ask for one first.
        ready_by_epoch_s: Of offers to single devices of the batch: those are meant that may begin by this second of
            Unix time, and where it is a time slot, only those that were put off to it. None: the whole batch is meant.
    """

    campaign: CampaignId
    batch: DeviceBatch
    purpose: BatchPurpose
    step: int
    retry: int = 0
    slot_epoch_s: int | None = None
    ready_by_epoch_s: int | None = None

    @property
    def slot(self) -> datetime | None:
        """Its time slot as a moment."""
        return None if self.slot_epoch_s is None else datetime.fromtimestamp(self.slot_epoch_s, UTC)

    @property
    def ready_by(self) -> datetime | None:
        """The same as a moment."""
        return None if self.ready_by_epoch_s is None else datetime.fromtimestamp(self.ready_by_epoch_s, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchVisit:
    """Look at one device batch: time out what is due, settle what has ended, come back when the next is due.

    Attributes:
        due_epoch_s: The second of Unix time it was due, which is in the message's id; None in old messages. The next
            visit is later than it, whatever the clock says, because a message of the same id would be dropped.
    """

    campaign: CampaignId
    batch: DeviceBatch
    due_epoch_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStep:
    """Take the next step of a dry run; session = operation id.

    Attributes:
        step: The step it stands for; once the operation is past it, the message is stale and does nothing.
    """

    operation: OperationId
    step: int


type Message = IndexRequest | CampaignStep | OperationStep | BatchWork | BatchVisit


def write_message(message: Message) -> bytes:
    """The body of a message."""
    defaults = {field.name: field.default for field in fields(message)}
    said = {name: value for name, value in asdict(message).items() if value != defaults[name]}
    return json.dumps({"v": VERSION, **said}, separators=(",", ":")).encode()


def _reader[M](kind: type[M]) -> Callable[[bytes], M]:
    adapter: TypeAdapter[M] = TypeAdapter(kind)

    def read(body: bytes) -> M:
        document = _document(body)
        check_version(document.pop("v", None), VERSION)
        try:
            return adapter.validate_python(document, extra="forbid")
        except ValidationError as error:
            raise _verdict(kind.__name__, error) from error

    return read


def check_version(found: object, known: int) -> None:
    """Return if it is the version that this program writes.

    Raises:
        NewerMessage: It is a later one.
        MalformedMessage: It is none that ever was.
    """
    if isinstance(found, int) and not isinstance(found, bool) and found > known:
        raise NewerMessage(f"this is a version {found} message, and this program knows version {known}")
    if found != known:
        raise MalformedMessage(f"this is not a version {known} message", code="unknown_version")


def _verdict(kind: str, error: ValidationError) -> MalformedMessage:
    """What is merely not known may be newer; what is missing or of the wrong type is in no version."""
    wrong = [each for each in error.errors() if each["type"] not in _NOT_KNOWN]
    first = (wrong or error.errors())[0]
    message = f"{kind}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return MalformedMessage(message) if wrong else NewerMessage(message)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise MalformedMessage("the message is not JSON") from error
    if not isinstance(document, dict):
        raise MalformedMessage("the message is not a JSON object")
    return document


read_index_request = _reader(IndexRequest)
read_campaign_step = _reader(CampaignStep)
read_batch_work = _reader(BatchWork)
read_batch_visit = _reader(BatchVisit)
read_operation_step = _reader(OperationStep)
