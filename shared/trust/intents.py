"""Signing and believing intents: a DSSE envelope (secure-systems-lab/dsse, protocol 1.0) over canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import Key, Signer

from shared.domain.errors import InvalidId, TrustError
from shared.domain.ids import DeviceId, PackagePath, campaign_id
from shared.domain.offers import Intent
from shared.domain.windows import Window, WindowInvalid
from shared.trust.merkle import leaf, merkle_root, verify_proof

PAYLOAD_TYPE = "application/vnd.groundswell.intent.v1+json"


class IntentRefused(TrustError):
    """The intent must not be acted upon."""

    code = "intent_refused"


def batch_leaves(claims: Sequence[tuple[DeviceId, int]]) -> list[bytes]:
    """The leaves of a device batch, in the order of its claims (device id, sequence)."""
    return [leaf(device, sequence) for device, sequence in claims]


def batch_root(claims: Sequence[tuple[DeviceId, int]]) -> str:
    """The hex root an intent for these claims carries."""
    return merkle_root(batch_leaves(claims)).hex()


def sign_intent(intent: Intent, signer: Signer) -> str:
    """The signed envelope as compact JSON text, about 1 KB.

    Raises:
        Exception: Whatever the signer raises when its key cannot be used.
    """
    envelope = Envelope(_to_payload(intent), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), separators=(",", ":"))


def verify_intent(envelope_text: str, keys: Sequence[Key]) -> Intent:
    """The intent inside an envelope that one of the keys signed.

    Raises:
        IntentRefused: No key signed it, or it cannot be read.
    """
    try:
        envelope = Envelope.from_dict(json.loads(envelope_text))
        envelope.verify(list(keys), 1)
    except (VerificationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntentRefused("the intent bears no signature of a key the index names") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise IntentRefused(f"the intent is of type {envelope.payload_type!r}, this agent reads {PAYLOAD_TYPE!r}")
    return _from_payload(envelope.payload)


def check_claim(intent: Intent, *, device: DeviceId, sequence: int, proof: str) -> None:
    """Return if the intent covers this device and this claim of it.

    Raises:
        ProofRefused: It does not.
    """
    verify_proof(proof, leaf_hash=leaf(device, sequence), root=bytes.fromhex(intent.root))


def check_time(intent: Intent, *, now: datetime) -> None:
    """Return if the intent is in force at ``now``.

    Raises:
        IntentRefused: It has expired.
    """
    if now >= intent.expires:
        raise IntentRefused(f"the intent expired at {intent.expires.isoformat()}; the campaign must offer again")


def write_windows(windows: Sequence[Window]) -> list[dict[str, Any]]:
    """Maintenance windows as JSON: ``days`` (ISO weekdays), ``start`` and ``end`` (``HH:MM``), ``zone``."""
    return [
        {
            "days": list(window.days),
            "start": window.start.isoformat("minutes"),
            "end": window.end.isoformat("minutes"),
            "zone": window.zone,
        }
        for window in windows
    ]


def read_windows(document: Sequence[Mapping[str, Any]]) -> tuple[Window, ...]:
    """As they were written.

    Raises:
        WindowInvalid, ValueError, KeyError, TypeError: They are no windows, or none that this device can keep.
    """
    return tuple(
        Window(
            days=tuple(int(day) for day in fields["days"]),
            start=time.fromisoformat(fields["start"]),
            end=time.fromisoformat(fields["end"]),
            zone=str(fields["zone"]),
        )
        for fields in document
    )


def _to_payload(intent: Intent) -> bytes:
    fields: dict[str, Any] = {
        "campaign": intent.campaign,
        "path": intent.path,
        "name": intent.name,
        "version": intent.version,
        "kind": intent.kind,
        "length": intent.length_bytes,
        "sha256": intent.sha256,
        "issued": intent.issued.isoformat(),
        "expires": intent.expires.isoformat(),
        "allow_downgrade": intent.allow_downgrade,
        "root": intent.root,
    }
    if intent.windows:
        fields["windows"] = write_windows(intent.windows)
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _from_payload(payload: bytes) -> Intent:
    try:
        fields: Mapping[str, Any] = json.loads(payload)
        intent = Intent(
            campaign=campaign_id(fields["campaign"]),
            path=PackagePath(str(fields["path"])),
            name=str(fields["name"]),
            version=str(fields["version"]),
            kind=str(fields["kind"]),
            length_bytes=int(fields["length"]),
            sha256=str(fields["sha256"]),
            issued=datetime.fromisoformat(fields["issued"]),
            expires=datetime.fromisoformat(fields["expires"]),
            allow_downgrade=fields["allow_downgrade"] is True,
            root=bytes.fromhex(fields["root"]).hex(),
            windows=read_windows(fields.get("windows", [])),
        )
    except (InvalidId, WindowInvalid, ValueError, KeyError, TypeError) as error:
        raise IntentRefused("the intent's payload cannot be read") from error
    if intent.issued.tzinfo is None or intent.expires.tzinfo is None:
        raise IntentRefused("the intent's times carry no time zone")
    return intent
