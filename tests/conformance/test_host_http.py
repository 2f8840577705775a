"""HTTP triggers: routes, methods, keys, bodies, failures."""

import os

import pytest
import requests

from emulator.local import LocalCloud
from tests.support.cloud import Journal


def test_route_parameters_query_and_headers_reach_the_function(cloud: LocalCloud) -> None:
    answer = requests.post(
        f"{cloud.functions_url}/api/echo/a%2Cb%23%3F/c/d%20e?x=1&y=%C3%BC",
        data=b"12345",
        headers={"x-functions-key": cloud.host_key, "X-Sample": "here"},
        timeout=10,
    )
    assert answer.status_code == 201
    assert answer.headers["x-answer"] == "yes"
    seen = answer.json()
    assert seen["route"] == {"first": "a,b#?", "rest": "c/d e"}
    assert seen["query"] == {"x": "1", "y": "ü"}
    assert (seen["method"], seen["header"], seen["size_bytes"]) == ("POST", "here", 5)


def test_a_line_break_in_a_route_parameter_is_a_character_like_any_other(cloud: LocalCloud) -> None:
    headers = {"x-functions-key": cloud.host_key}
    answer = requests.post(f"{cloud.functions_url}/api/echo/a%0Ab", headers=headers, timeout=10)
    assert answer.json()["route"]["first"] == "a\nb"


def test_bodies_are_binary_safe_both_ways(cloud: LocalCloud) -> None:
    body = os.urandom(3 * 1024 * 1024)
    answer = requests.post(f"{cloud.functions_url}/api/mirror", data=body, timeout=10)
    assert answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_method_that_no_function_allows_is_not_found(cloud: LocalCloud) -> None:
    assert requests.get(f"{cloud.functions_url}/api/mirror", timeout=10).status_code == 404
    assert requests.get(f"{cloud.functions_url}/api/nothing", timeout=10).status_code == 404
    assert requests.post(f"{cloud.functions_url}/mirror", timeout=10).status_code == 404


def test_an_exception_becomes_500_without_its_text(cloud: LocalCloud) -> None:
    answer = requests.get(f"{cloud.functions_url}/api/broken", timeout=10)
    assert answer.status_code == 500
    assert b"purpose" not in answer.content


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("echo/a", None, 401),
        ("echo/a", "wrong", 401),
        ("echo/a", "host", 201),
        ("echo/a", "master", 201),
        ("secret", None, 401),
        ("secret", "host", 401),
        ("secret", "master", 200),
    ],
)
def test_keys_open_what_their_level_allows(cloud: LocalCloud, path: str, key: str | None, status: int) -> None:
    keys = {"host": cloud.host_key, "master": cloud.master_key}
    url = f"{cloud.functions_url}/api/{path}"
    given = keys.get(key, key) if key else None
    by_header = requests.get(url, headers={"x-functions-key": given} if given else {}, timeout=10)
    by_query = requests.get(url, params={"code": given} if given else {}, timeout=10)
    assert (by_header.status_code, by_query.status_code) == (status, status)


def test_a_timer_runs_by_hand_with_the_master_key_only(cloud: LocalCloud, journal: Journal) -> None:
    url = f"{cloud.functions_url}/admin/functions/on_timer"
    refused = requests.post(url, json={}, headers={"x-functions-key": cloud.host_key}, timeout=10)
    assert refused.status_code == 401
    before = len(journal.entries("on_timer"))
    accepted = requests.post(url, json={"input": ""}, headers={"x-functions-key": cloud.master_key}, timeout=10)
    assert accepted.status_code == 202
    ran = journal.wait_for("on_timer", count=before + 1)
    assert (len(ran), ran[-1]["past_due"]) == (before + 1, False)


def test_a_timer_runs_at_start_up_if_it_says_so_and_a_disabled_one_never(cloud: LocalCloud, journal: Journal) -> None:
    journal.wait_for("on_startup")
    assert journal.entries("on_disabled") == []
    headers = {"x-functions-key": cloud.master_key}
    listed = requests.get(f"{cloud.functions_url}/admin/functions", headers=headers, timeout=10).json()
    assert {each["name"]: each["isDisabled"] for each in listed}["on_disabled"] is True


def test_the_admin_status_needs_the_master_key(cloud: LocalCloud) -> None:
    url = f"{cloud.functions_url}/admin/host/status"
    assert requests.get(url, timeout=10).status_code == 401
    headers = {"x-functions-key": cloud.master_key}
    assert requests.get(url, headers=headers, timeout=10).json()["state"] == "Running"
