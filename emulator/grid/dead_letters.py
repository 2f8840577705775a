"""Dead-lettered events as blobs: `<topic>/<SUBSCRIPTION>/<year>/<month>/<day>/<hour>/<id>.json`.

Azure waits five minutes before it writes them; here they are written at once.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.storage.blob.aio import BlobServiceClient

from emulator.grid.events import GridEvent, utc_text
from emulator.grid.schedule import outcome_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that will not be delivered any more, and why."""

    event: GridEvent
    topic: str
    subscription: str
    reason: str
    attempts: int
    last_status: int | None
    last_attempt_at: datetime

    def to_json(self) -> dict[str, Any]:
        """The event with the documented extra properties, in lower case for CloudEvents."""
        extra: dict[str, Any] = {
            "deadLetterReason": self.reason,
            "deliveryAttempts": self.attempts,
            "lastDeliveryOutcome": str(outcome_of(self.last_status)),
            "publishTime": utc_text(self.event.published_at),
            "lastDeliveryAttemptTime": utc_text(self.last_attempt_at),
        }
        if self.last_status is not None:
            extra["lastHttpStatusCode"] = self.last_status
        if self.event.is_cloud_event:
            extra = {name.lower(): content for name, content in extra.items()}
        return {**self.event.fields, **extra}

    def blob_name(self, now: datetime) -> str:
        moment = now.astimezone(UTC)
        hour = f"{moment.year}/{moment.month}/{moment.day}/{moment.hour}"
        return f"{self.topic}/{self.subscription.upper()}/{hour}/{uuid.uuid4()}.json"


class DeadLetterStore:
    """Writes dead letters to containers of one storage account."""

    def __init__(self, connection_string: str) -> None:
        self._blobs = BlobServiceClient.from_connection_string(connection_string)

    async def write(self, container: str, letter: DeadLetter) -> None:
        """Write one blob that holds an array of one event.

        Raises:
            azure.core.exceptions.AzureError: storage does not take it; Azure would drop the event.
        """
        blob = self._blobs.get_blob_client(container, letter.blob_name(datetime.now(UTC)))
        await blob.upload_blob(json.dumps([letter.to_json()]).encode())

    async def close(self) -> None:
        await self._blobs.close()
