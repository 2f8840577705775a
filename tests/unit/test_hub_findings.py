"""What follows from what was found out about a hub."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest

from cli.hub.calls import HubCalls, Refusal
from cli.hub.findings import GRANTS, MEANING, Exit, Findings, Question
from shared.domain.ids import DeviceId
from shared.settings import TwinWriterKind


def found(*, no: Collection[Question] = (), unknown: Collection[Question] = ()) -> Findings:
    findings = Findings()
    for question in Question:
        if question not in unknown:
            findings.note(question, holds=question not in no)
    return findings


def test_all_questions_have_a_meaning_and_each_right_a_grant() -> None:
    assert set(MEANING) == set(Question)
    assert set(GRANTS) == {question for question in Question if question.startswith("may_")}


def test_where_all_holds_both_writers_are_safe() -> None:
    assert found().exit is Exit.BULK_IS_SAFE
    assert found().missing == {}


@pytest.mark.parametrize("question", [one for one in Question if one.startswith("bulk_") and "etag" not in one])
def test_each_doubt_about_bulk_leaves_patch(question: Question) -> None:
    for findings in (found(no={question}), found(unknown={question})):
        assert not findings.is_safe(TwinWriterKind.BULK)
        assert findings.exit is Exit.ONLY_PATCH_IS_SAFE


@pytest.mark.parametrize(
    "question",
    [
        Question.MAY_READ_TWINS,
        Question.MAY_QUERY,
        Question.MAY_PATCH,
        Question.PATCH_MERGES,
        Question.PATCH_DELETES_NULL,
    ],
)
def test_what_the_service_cannot_do_without_makes_the_hub_unfit(question: Question) -> None:
    assert found(no={question}).exit is Exit.NOT_FIT
    assert found(unknown={question}).exit is Exit.NOT_FIT


def test_the_etag_star_is_told_and_not_needed() -> None:
    assert found(no={Question.BULK_TAKES_ETAG_STAR}).exit is Exit.BULK_IS_SAFE


@pytest.mark.parametrize(
    ("code", "status", "about_access"),
    [("ThrottlingException", 429, False), ("IotHubUnauthorizedAccess", 401, True), ("ArgumentInvalid", 400, False)],
)
def test_a_bulk_entry_that_is_refused_refuses_the_call(code: str, status: int, about_access: bool) -> None:
    error = SimpleNamespace(device_id="gw-1", error_code=code, error_status="why")
    hub = HubCalls(_registry([error]), DeviceId("gw-1"))
    with pytest.raises(Refusal) as refused:
        hub.bulk_alone({"a": 1})
    assert (refused.value.status, refused.value.is_about_access) == (status, about_access)


def test_the_daily_quota_is_not_about_access() -> None:
    assert not Refusal(status=403, code="IotHubQuotaExceeded", message="", headers={}).is_about_access


def _registry(errors: list[Any]) -> Any:
    policy = SimpleNamespace(retries=3, policy=SimpleNamespace(status_forcelist=(500,)))
    config = SimpleNamespace(retry_policy=policy, connection=SimpleNamespace(timeout=100))
    answer = SimpleNamespace(is_successful=False, errors=errors)
    return SimpleNamespace(
        protocol=SimpleNamespace(config=config), bulk_create_or_update_devices=lambda _entries: answer
    )
