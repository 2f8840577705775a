"""Offers and intents: what a device is told to install, and the statement that it may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.ids import CampaignId, DeviceId, PackagePath
from shared.domain.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The signed statement that the devices under ``root`` may install this package now.

    Attributes:
        root: Hex root of the Merkle tree over (device id, sequence) of the device batch.
        issued: Aware UTC.
        expires: Aware UTC; refused by the agent from then on.
        windows: When it may be installed; empty for always.
    """

    campaign: CampaignId
    path: PackagePath
    name: str
    version: str
    kind: str
    length_bytes: int
    sha256: str
    issued: datetime
    expires: datetime
    allow_downgrade: bool
    root: str
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the service writes into a twin's desired property ``update``.

    Attributes:
        envelope: The signed intent, a DSSE envelope as JSON text.
        proof: Proof that (device, sequence) stands under the intent's root, see ``shared.trust.merkle``.
        ticket: Capability to fetch the package for this device, exchanged at ``GET /downloads/…``.
    """

    device: DeviceId
    campaign: CampaignId
    wave: int
    attempt: int
    sequence: int
    path: PackagePath
    envelope: str
    proof: str
    ticket: str
