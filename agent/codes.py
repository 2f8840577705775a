"""The stable words an agent gives as the ``code`` of ``rejected`` and ``failed``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.rollouts import RolloutState


class Code(StrEnum):
    """Why a rollout ended without success. Programs may rely on the values."""

    INDEX_REFUSED = "index_refused"
    INDEX_UNAVAILABLE = "index_unavailable"
    INTENT_REFUSED = "intent_refused"
    INTENT_MISMATCH = "intent_mismatch"
    PROOF_REFUSED = "proof_refused"
    INTENT_EXPIRED = "intent_expired"
    NOT_IN_INDEX = "not_in_index"
    PUBLISHER_REFUSED = "publisher_refused"
    KIND_UNSUPPORTED = "kind_unsupported"
    INCOMPATIBLE = "incompatible"
    DOWNGRADE_REFUSED = "downgrade_refused"
    TICKET_REFUSED = "ticket_refused"
    DOWNLOAD_FAILED = "download_failed"
    DIGEST_MISMATCH = "digest_mismatch"
    NO_SPACE = "no_space"
    INSTALL_FAILED = "install_failed"
    HEALTH_CHECK_FAILED = "health_check_failed"
    SLOT_DID_NOT_BOOT = "slot_did_not_boot"


R, F = RolloutState.REJECTED, RolloutState.FAILED

MEANINGS: Mapping[Code, tuple[RolloutState, str]] = {
    Code.INDEX_REFUSED: (R, "the index is not signed as it should be, or is older than one seen before"),
    Code.INDEX_UNAVAILABLE: (F, "the index could not be fetched, or stayed expired, for as long as `download` allows"),
    Code.INTENT_REFUSED: (R, "the intent bears no signature of a key the index names, or cannot be read"),
    Code.INTENT_MISMATCH: (R, "the intent speaks of another campaign or package than the offer or the index"),
    Code.PROOF_REFUSED: (R, "the intent was not signed for this device and this sequence"),
    Code.INTENT_EXPIRED: (R, "the intent is no longer in force; the campaign must offer again"),
    Code.NOT_IN_INDEX: (R, "the signed index holds no such package, or no longer does"),
    Code.PUBLISHER_REFUSED: (R, "the package bears no signature of a publisher who may sign packages of its name"),
    Code.KIND_UNSUPPORTED: (R, "this device has no handler for packages of that kind, or lacks the tool it needs"),
    Code.INCOMPATIBLE: (R, "the device lacks a property the package asks for"),
    Code.DOWNGRADE_REFUSED: (R, "the device runs a higher version and the intent does not allow a downgrade"),
    Code.TICKET_REFUSED: (F, "the service did not take the ticket"),
    Code.DOWNLOAD_FAILED: (F, "the package could not be fetched within the allowed attempts or time"),
    Code.DIGEST_MISMATCH: (F, "what was fetched is not what the index signed; it was discarded"),
    Code.NO_SPACE: (F, "the disk has no room for the package or for the other slot; nothing was switched"),
    Code.INSTALL_FAILED: (F, "the handler could not write the package into the inactive slot; nothing was switched"),
    Code.HEALTH_CHECK_FAILED: (F, "the new slot was started and did not prove healthy; the device went back"),
    Code.SLOT_DID_NOT_BOOT: (F, "the device was restarted into the new slot and came up in the old one"),
}
"""Code to the state it comes with and its meaning."""
