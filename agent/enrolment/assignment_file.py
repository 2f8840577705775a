"""The assignment as one file in the state folder."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from agent.install.durable import write_durably
from agent.ports import Assignment
from shared.domain.errors import InvalidId
from shared.domain.ids import device_id

log = logging.getLogger(__name__)

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def make_assignment(hub: object, device: object) -> Assignment:
    """An assignment of which nothing ends anywhere but in a host name and a device id.

    Raises:
        ValueError: It is none: such as a host with a semicolon, which would be a connection string's next field.
    """
    if not isinstance(hub, str) or not _HOST.fullmatch(hub):
        raise ValueError(f"{str(hub)[:300]!r} is no hub's host name")
    if not isinstance(device, str):
        raise ValueError(f"{str(device)[:300]!r} is no device id")
    try:
        return Assignment(hub=hub, device=device_id(device))
    except InvalidId as error:
        raise ValueError(error.message) from error


@dataclass(frozen=True, slots=True)
class AssignmentFile:
    """Implements ``agent.ports.AssignmentStore``.

    Attributes:
        asked_as: Id scope and registration id: what another registration was assigned is not ours.
    """

    path: Path
    asked_as: tuple[str, str]

    def read(self) -> Assignment | None:
        """The assignment last written; None where there is none, or none that this registration got."""
        try:
            document = json.loads(self.path.read_bytes())
            if (document["id_scope"], document["registration_id"]) != self.asked_as:
                return None
            return make_assignment(document["hub"], document["device"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            log.error("%s cannot be used (%r); the device registers anew", self.path, error)
            return None

    def write(self, assignment: Assignment) -> None:
        """Replace it, atomically and durably. Raises OSError."""
        scope, registration = self.asked_as
        document = {"id_scope": scope, "registration_id": registration}
        document |= {"hub": assignment.hub, "device": assignment.device}
        write_durably(self.path, json.dumps(document, indent=1).encode() + b"\n")
