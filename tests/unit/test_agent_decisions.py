"""What an agent makes of offers, genuine and forged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from agent.codes import MEANINGS, Code
from agent.decisions import (
    AlreadyRuns,
    Approved,
    DeviceFacts,
    IndexView,
    Notice,
    Refused,
    is_superseded,
    judge_offer,
    weigh_notice,
)
from agent.memory import End, Memory, OfferId, Phase, begin, enter
from shared.domain.errors import MalformedMessage
from shared.domain.ids import CampaignId, DeviceId
from shared.domain.offers import Offer
from shared.domain.packages import PackageKind
from shared.domain.rollouts import RolloutState
from shared.trust.authorities import Authorities, PublisherRule
from shared.trust.intents import PAYLOAD_TYPE, batch_leaves, batch_root, sign_intent
from shared.trust.merkle import merkle_proof
from shared.wire.twins import read_offer, write_offer
from tests.support.agent import DEVICE, make_intent, make_package
from tests.support.agent_service import new_signer

SERVICE = new_signer()
PACKAGE = make_package("engine", "1.1.0", b"image")
AUTHORITIES = Authorities(intent_keys=(SERVICE.public_key,), publisher_rule=PublisherRule.OPTIONAL)
INDEX = IndexView(authorities=AUTHORITIES, package=PACKAGE)
FACTS = DeviceFacts(
    device=DEVICE,
    properties={"hardware": "rev-b"},
    installed={"engine": "1.0.0"},
    kinds=frozenset({PackageKind.FIRMWARE.value}),
)


def make_offer(sequence: int = 3, signer: object = SERVICE, **intent_changes: object) -> Offer:
    claims = [(DEVICE, sequence), (DeviceId("another"), 1)]
    intent = make_intent(PACKAGE, claims, **({"root": batch_root(claims)} | intent_changes))
    return Offer(
        device=DEVICE,
        campaign=CampaignId("camp-1"),
        wave=1,
        attempt=1,
        sequence=sequence,
        path=PACKAGE.path,
        envelope=sign_intent(intent, signer),  # type: ignore[arg-type]
        proof=merkle_proof(batch_leaves(claims), 0),
        ticket="t",
    )


GENUINE = make_offer()


def judge(offer: Offer, index: IndexView = INDEX, facts: DeviceFacts = FACTS) -> object:
    return judge_offer(offer, index, facts, now=datetime.now(UTC))


def test_a_genuine_offer_is_approved() -> None:
    verdict = judge(make_offer())

    assert isinstance(verdict, Approved)
    assert verdict.package == PACKAGE


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (make_offer(signer=new_signer()), Code.INTENT_REFUSED),
        (replace(make_offer(), envelope="{}"), Code.INTENT_REFUSED),
        (replace(make_offer(), envelope="not json"), Code.INTENT_REFUSED),
        (replace(make_offer(), device=DeviceId("another")), Code.PROOF_REFUSED),
        (replace(make_offer(), sequence=4), Code.PROOF_REFUSED),
        (replace(make_offer(), proof="0.1"), Code.PROOF_REFUSED),
        (replace(make_offer(), campaign=CampaignId("camp-2")), Code.INTENT_MISMATCH),
    ],
)
def test_a_forged_offer_is_refused_and_not_taken_for_authentic(offer: Offer, code: Code) -> None:
    verdict = judge(offer)

    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.is_authentic) == (code, False)


@pytest.mark.parametrize(
    "change",
    [{"length_bytes": 9}, {"sha256": "0" * 64}, {"version": "1.2.0"}, {"name": "other"}, {"kind": "deb"}],
)
def test_an_intent_that_differs_from_the_index_is_refused(change: dict[str, Any]) -> None:
    verdict = judge(make_offer(**change))

    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.is_authentic) == (Code.INTENT_MISMATCH, True)


def test_time_index_kind_hardware_and_order_of_versions_are_checked() -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    verdicts = [
        judge(make_offer(expires=past)),
        judge(make_offer(), replace(INDEX, package=None)),
        judge(make_offer(), facts=replace(FACTS, kinds=frozenset({"deb"}))),
        judge(make_offer(), facts=replace(FACTS, properties={})),
        judge(make_offer(), facts=replace(FACTS, installed={"engine": "1.1.1"})),
        judge(make_offer(), facts=replace(FACTS, installed={"engine": "one"})),
    ]

    assert [verdict.code for verdict in verdicts if isinstance(verdict, Refused)] == [
        Code.INTENT_EXPIRED,
        Code.NOT_IN_INDEX,
        Code.KIND_UNSUPPORTED,
        Code.INCOMPATIBLE,
        Code.DOWNGRADE_REFUSED,
        Code.DOWNGRADE_REFUSED,
    ]
    allowed = judge(make_offer(allow_downgrade=True), facts=replace(FACTS, installed={"engine": "1.1.1"}))
    assert isinstance(allowed, Approved)


def test_the_version_that_runs_needs_nothing_done() -> None:
    assert isinstance(judge(make_offer(), facts=replace(FACTS, installed={"engine": "1.1.0"})), AlreadyRuns)


def test_notices_are_weighed_by_sequence_phase_and_what_was_answered() -> None:
    offer = make_offer(3)
    fresh = Memory()
    busy = begin(fresh, offer, PACKAGE, slots=("a", "b"))
    ended = replace(
        fresh,
        highest_sequence=3,
        answered_sequence=3,
        answered_version=7,
        end=End(offer=OfferId.of(offer), state=RolloutState.SUCCEEDED),
    )

    assert weigh_notice(fresh, None, desired_version=1) is Notice.IGNORE
    assert weigh_notice(fresh, offer, desired_version=1) is Notice.CONSIDER
    assert weigh_notice(busy, None, desired_version=2) is Notice.WITHDRAW
    assert weigh_notice(busy, make_offer(2), desired_version=2) is Notice.IGNORE
    assert weigh_notice(enter(busy, Phase.INSTALLING), None, desired_version=2) is Notice.WITHDRAW
    assert weigh_notice(enter(busy, Phase.INSTALLING), offer, desired_version=2) is Notice.RESUME
    assert weigh_notice(enter(busy, Phase.SWITCHING), None, desired_version=2) is Notice.IGNORE
    assert weigh_notice(ended, offer, desired_version=7) is Notice.IGNORE
    assert weigh_notice(ended, offer, desired_version=8) is Notice.ANSWER_AGAIN
    assert weigh_notice(ended, make_offer(4), desired_version=8) is Notice.CONSIDER
    assert weigh_notice(ended, make_offer(4), desired_version=7) is Notice.CONSIDER


def test_a_download_loses_its_reason_to_newer_offers_and_fresher_tickets_only() -> None:
    offer = make_offer(3)

    assert is_superseded(offer, None)
    assert is_superseded(offer, make_offer(4))
    assert is_superseded(offer, replace(offer, ticket="fresh"))
    assert not is_superseded(offer, offer)
    assert not is_superseded(offer, make_offer(2))


def test_every_code_comes_with_an_end_and_a_meaning() -> None:
    assert set(MEANINGS) == set(Code)
    assert {state for state, _ in MEANINGS.values()} == {RolloutState.REJECTED, RolloutState.FAILED}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["campaign", "wave", "attempt", "sequence", "path", "intent", "proof", "ticket"]), anything)
def test_nonsense_in_a_twin_is_malformed_or_refused_and_never_a_crash(field: str, nonsense: object) -> None:
    document = write_offer(GENUINE) | {field: nonsense}

    try:
        offer = read_offer(DEVICE, {"update": document})
    except MalformedMessage:
        return
    assert offer is not None
    verdict = judge(offer)
    assert offer == replace(GENUINE, ticket=offer.ticket, wave=offer.wave, attempt=offer.attempt) or isinstance(
        verdict, Refused
    )


@given(anything, st.binary(max_size=20))
def test_nonsense_in_a_signed_envelope_is_refused_and_never_a_crash(document: object, payload: bytes) -> None:
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(SERVICE)

    for text in (json.dumps(document), json.dumps(envelope.to_dict())):
        assert isinstance(judge(replace(GENUINE, envelope=text)), Refused)


def test_a_signed_intent_for_an_impossible_campaign_is_refused() -> None:
    assert isinstance(judge(make_offer(campaign=CampaignId("NO"))), Refused)
