"""What to do about an offer: judged from bytes and facts alone, so that real and simulated devices judge alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.codes import Code
from agent.memory import Memory, Pending, Phase
from shared.domain.errors import InvalidId
from shared.domain.ids import DeviceId
from shared.domain.offers import Intent, Offer
from shared.domain.packages import Package, is_compatible
from shared.domain.versions import Version
from shared.domain.windows import Window
from shared.trust.authorities import Authorities
from shared.trust.intents import IntentRefused, check_claim, check_time, verify_intent
from shared.trust.merkle import ProofRefused
from shared.trust.publishers import PublisherRefused, check_publisher


class Notice(StrEnum):
    """What an agent makes of the newest desired properties, before it spends anything on them."""

    IGNORE = "ignore"
    CONSIDER = "consider"
    RESUME = "resume"
    WITHDRAW = "withdraw"
    ANSWER_AGAIN = "answer_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """What the verified index says about one package.

    Attributes:
        authorities: Whose intents and artifacts are believed.
        package: The package's record; None where the index holds none under that path.
    """

    authorities: Authorities
    package: Package | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a package is judged against.

    Attributes:
        properties: Such as ``hardware`` and ``architecture``.
        installed: Package name to the version in the active slot.
        kinds: Package kinds a handler stands ready for.
    """

    device: DeviceId
    properties: Mapping[str, str]
    installed: Mapping[str, str]
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The package may be installed until the intent expires.

    Attributes:
        windows: When it may be installed; empty for always.
    """

    package: Package
    expires: datetime
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyRuns:
    """The device runs that very version; nothing is left to do."""

    package: Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The offer must not be acted upon.

    Attributes:
        is_authentic: Whether it did come from the service, so that its sequence may be remembered.
    """

    code: Code
    detail: str
    is_authentic: bool


type Judgement = Approved | AlreadyRuns | Refused


class _Refusal(Exception):
    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def weigh_notice(memory: Memory, offer: Offer | None, *, desired_version: int) -> Notice:
    """What to make of the desired properties of ``desired_version``; None stands for no offer, or one taken back."""
    pending = memory.pending
    if pending is not None and pending.phase in (Phase.SWITCHING, Phase.ROLLING_BACK):
        return Notice.IGNORE
    if pending is not None and pending.phase is Phase.INSTALLING and offer is not None:
        return _weigh_resumed(pending, offer)
    if offer is None:
        return Notice.WITHDRAW if pending is not None else Notice.IGNORE
    if offer.sequence < memory.highest_sequence:
        return Notice.IGNORE
    return _weigh_resting(memory, offer, desired_version)


def _weigh_resting(memory: Memory, offer: Offer, desired_version: int) -> Notice:
    if offer.sequence > memory.highest_sequence:
        # Whatever the version: it starts anew for a device created again and for a hub that failed over.
        return Notice.CONSIDER
    answered = (memory.answered_sequence, memory.answered_version) == (offer.sequence, desired_version)
    if memory.end is not None and memory.end.offer.sequence == offer.sequence:
        return Notice.IGNORE if answered else Notice.ANSWER_AGAIN
    return Notice.IGNORE if answered and memory.pending is None else Notice.CONSIDER


def _weigh_resumed(pending: Pending, offer: Offer) -> Notice:
    if offer.sequence == pending.offer.sequence:
        return Notice.RESUME
    return Notice.CONSIDER if offer.sequence > pending.offer.sequence else Notice.IGNORE


def is_superseded(offer: Offer, newest: Offer | None) -> bool:
    """Whether a download for ``offer`` has lost its reason, or can go on with a fresher ticket."""
    if newest is None or newest.sequence > offer.sequence:
        return True
    return newest.sequence == offer.sequence and newest.ticket != offer.ticket


def judge_offer(offer: Offer, index: IndexView, facts: DeviceFacts, *, now: datetime) -> Judgement:
    """The verdict over an offer under a verified index: first whether it is genuine, then whether it fits."""
    try:
        intent = _authenticate(offer, index)
    except _Refusal as refusal:
        return Refused(code=refusal.code, detail=refusal.detail, is_authentic=False)
    try:
        return _examine(intent, index, facts, now)
    except _Refusal as refusal:
        return Refused(code=refusal.code, detail=refusal.detail, is_authentic=True)


def _authenticate(offer: Offer, index: IndexView) -> Intent:
    try:
        intent = verify_intent(offer.envelope, index.authorities.intent_keys)
        check_claim(intent, device=offer.device, sequence=offer.sequence, proof=offer.proof)
    except IntentRefused as error:
        raise _Refusal(Code.INTENT_REFUSED, error.message) from error
    except ProofRefused as error:
        raise _Refusal(Code.PROOF_REFUSED, error.message) from error
    if (intent.campaign, intent.path) != (offer.campaign, offer.path):
        raise _Refusal(Code.INTENT_MISMATCH, f"the intent is for {intent.path} in campaign {intent.campaign}")
    return intent


def _examine(intent: Intent, index: IndexView, facts: DeviceFacts, now: datetime) -> Judgement:
    try:
        check_time(intent, now=now)
    except IntentRefused as error:
        raise _Refusal(Code.INTENT_EXPIRED, error.message) from error
    if (package := index.package) is None:
        raise _Refusal(Code.NOT_IN_INDEX, f"the index holds no {intent.path}")
    _match(intent, package)
    _check_publisher(package, index.authorities)
    _check_fit(package, facts)
    installed = facts.installed.get(package.name)
    if installed == package.version.text:
        return AlreadyRuns(package=package)
    if installed is not None and not intent.allow_downgrade:
        _check_rises(package.version, installed)
    return Approved(package=package, expires=intent.expires, windows=intent.windows)


def _match(intent: Intent, package: Package) -> None:
    said = (intent.name, intent.version, intent.kind, intent.length_bytes, intent.sha256)
    signed = (package.name, package.version.text, package.kind.value, package.length_bytes, package.sha256)
    if said != signed:
        raise _Refusal(Code.INTENT_MISMATCH, f"the intent says {said}, the index {signed}")


def _check_publisher(package: Package, authorities: Authorities) -> None:
    try:
        check_publisher(package, authorities)
    except PublisherRefused as error:
        raise _Refusal(Code.PUBLISHER_REFUSED, error.message) from error


def _check_fit(package: Package, facts: DeviceFacts) -> None:
    if package.kind not in facts.kinds:
        ready = ", ".join(sorted(facts.kinds)) or "none"
        raise _Refusal(Code.KIND_UNSUPPORTED, f"no handler for {package.kind!s} packages here; ready: {ready}")
    if not is_compatible(package.compatibility, facts.properties):
        lacking = {
            key: values for key, values in package.compatibility.items() if facts.properties.get(key) not in values
        }
        wanted = "; ".join(f"{key} must be {' or '.join(values)}" for key, values in sorted(lacking.items()))
        raise _Refusal(Code.INCOMPATIBLE, f"the package is not for this device: {wanted}")


def _check_rises(offered: Version, installed: str) -> None:
    try:
        is_lower = offered < Version(installed, offered.scheme)
    except InvalidId as error:
        raise _Refusal(Code.DOWNGRADE_REFUSED, f"cannot tell {offered} from {installed}: {error.message}") from error
    if is_lower:
        raise _Refusal(
            Code.DOWNGRADE_REFUSED, f"the device runs {installed}, {offered} is lower, and no downgrade is allowed"
        )
