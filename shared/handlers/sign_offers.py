"""Signing the offers of a device batch: one intent for all that get the same package, a proof and a ticket for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from securesystemslib.signer import Signer

from shared.domain.campaigns import Campaign
from shared.domain.ids import DeviceId
from shared.domain.offers import Intent, Offer
from shared.domain.packages import Package
from shared.domain.rollouts import Rollout
from shared.domain.schedules import AtEnd
from shared.ports.errors import Unavailable
from shared.ports.hub import TwinWrite
from shared.trust.intents import batch_leaves, batch_root, sign_intent
from shared.trust.merkle import merkle_proof
from shared.trust.tickets import Ticket, TicketKeys, issue_ticket
from shared.wire.twins import PROPERTY, write_offer


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferKeys:
    """What offers are signed with.

    Attributes:
        intents: Gives the signer for a key that the index names now; raises what ``KeyRing.signer`` raises.
    """

    intents: Callable[[], Signer]
    tickets: TicketKeys


def sign_offers(campaign: Campaign, rollouts: Sequence[Rollout], keys: OfferKeys, *, now: datetime) -> list[TwinWrite]:
    """Twin writes with the offers for these rollouts of one device batch, in their order.

    Each package among them has an intent of its own: one signature for each. Its tree covers the devices that get the
    package and nobody else: an intent that also held the batch's skipped devices, or those of another package, could be
    turned on them by whoever writes twins.

    Raises:
        Unavailable: The key cannot be used now; people mend that, and the offers can then be signed.
    """
    by_package: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_package.setdefault(campaign.package_of(rollout).path, []).append(rollout)
    signed = {
        write.device: write for members in by_package.values() for write in _sign(campaign, members, keys, now=now)
    }
    return [signed[rollout.device] for rollout in rollouts]


def _sign(campaign: Campaign, rollouts: Sequence[Rollout], keys: OfferKeys, *, now: datetime) -> list[TwinWrite]:
    """Twin writes with the offers for these rollouts, which all are of one package."""
    package = campaign.package_of(rollouts[0])
    claims = [(rollout.device, rollout.sequence) for rollout in rollouts]
    leaves = batch_leaves(claims)
    envelope = _signed(_intent(campaign, package, claims, now), keys.intents)
    return [
        TwinWrite(
            device=rollout.device,
            desired={
                PROPERTY: write_offer(
                    Offer(
                        device=rollout.device,
                        campaign=campaign.id,
                        wave=rollout.wave,
                        attempt=rollout.attempt,
                        sequence=rollout.sequence,
                        path=package.path,
                        envelope=envelope,
                        proof=merkle_proof(leaves, place),
                        ticket=_ticket(campaign, rollout, keys.tickets, now),
                    )
                )
            },
        )
        for place, rollout in enumerate(rollouts)
    ]


def _signed(intent: Intent, find_signer: Callable[[], Signer]) -> str:
    try:
        return sign_intent(intent, find_signer())
    # Each vendor's signer has exceptions of its own. Were one of them a ``DomainError``, the offers would be parked.
    except Exception as error:
        raise Unavailable(f"the key that signs offers cannot be used: {error!r}") from error


def _intent(campaign: Campaign, package: Package, claims: Sequence[tuple[DeviceId, int]], now: datetime) -> Intent:
    """In force as long as a device may take to accept, download and install, each to its deadline.

    Where the campaign is cancelled at the end of its schedule, no device begins to install after it, not even one that
    the hub cannot tell.
    """
    deadlines = campaign.spec.deadlines
    issued = now.replace(microsecond=0)
    schedule, end = campaign.spec.schedule, campaign.end_of_offers
    lifetime_s = deadlines.offered_s + deadlines.downloading_s + deadlines.installing_s
    expires = issued + timedelta(seconds=lifetime_s)
    if end is not None and schedule is not None and schedule.at_end is AtEnd.CANCEL:
        expires = min(expires, end.replace(microsecond=0))
    return Intent(
        campaign=campaign.id,
        path=package.path,
        name=package.name,
        version=str(package.version),
        kind=package.kind.value,
        length_bytes=package.length_bytes,
        sha256=package.sha256,
        issued=issued,
        expires=expires,
        allow_downgrade=campaign.spec.allow_downgrade,
        root=batch_root(claims),
        windows=campaign.spec.windows,
    )


def _ticket(campaign: Campaign, rollout: Rollout, keys: TicketKeys, now: datetime) -> str:
    deadlines = campaign.spec.deadlines
    expires = now.replace(microsecond=0) + timedelta(seconds=deadlines.offered_s + deadlines.downloading_s)
    ticket = Ticket(
        device=rollout.device,
        campaign=campaign.id,
        path=campaign.package_of(rollout).path,
        attempt=rollout.attempt,
        expires=expires,
    )
    return issue_ticket(ticket, keys)
