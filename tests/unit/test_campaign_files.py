"""Campaign files: what they mean, and the line of everything that is wrong with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema_rs
import pytest

from cli.campaign.files import CampaignFileInvalid, ReadFile, read_campaign_file
from cli.campaign.lines import YamlInvalid, read_yaml
from scripts.write_schema import SCHEMA, render
from shared.wire.http_campaigns import read_campaign_request
from shared.wire.spec_differences import find_differences

PAGE = Path(__file__).parents[2] / "docs/campaign-files.md"
GOOD = """\
groundswell: 1
campaigns:
  - name: spring
    package: {name: tool, version: "2.0"}
    targets:
      devices: [a, b, c]
    waves:
      - {name: canary, count: 1}
      - rest: true
"""


def read(tmp_path: Path, text: str) -> ReadFile:
    path = tmp_path / "spring.yaml"
    path.write_text(dedent(text))
    return read_campaign_file(path)


def complaints(tmp_path: Path, text: str) -> list[str]:
    """Each complaint without the folder of its file."""
    with pytest.raises(CampaignFileInvalid) as refusal:
        read(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/") for line in refusal.value.message.splitlines()]


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA.read_text() == render(), "run: .venv/bin/python -m scripts.write_schema"


def test_the_example_of_the_page_can_be_used_and_meets_the_schema(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (campaign,) = read(tmp_path, found[1]).file.campaigns
    assert [wave.name for wave in campaign.waves] == ["canary", "tenth", "everybody"]
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(read_yaml(found[1]).value)


def test_the_drift_that_the_page_shows_is_what_is_told(tmp_path: Path) -> None:
    page = PAGE.read_text()
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    edits = {"2.0.0": "2.1.0", "failure_percent: 2": "failure_percent: 3", "3600": "7200", "[fri, sat]": "[fri]"}
    before, after = found[1], found[1]
    for old, new in edits.items():
        after = after.replace(old, new)
    (made,), changed = read(tmp_path, before).file.campaigns, read(tmp_path, after)
    (wanted,) = changed.file.campaigns
    told = [
        f"{changed.place_of(0, each.field)}{each.field}: {each.theirs} in the campaign, {each.ours} in the file"
        for each in find_differences(made.to_spec(), wanted.to_spec(), wanted)
    ]
    assert told == [f"{tmp_path}/{line}" for line in re.findall(r"^spring\.yaml:.* in the file$", page, re.MULTILINE)]


def test_what_is_posted_is_what_the_file_says_without_its_revision(tmp_path: Path) -> None:
    (campaign,) = read(tmp_path, GOOD).file.campaigns
    assert json.loads(campaign.body) == {
        "name": "spring",
        "package": {"name": "tool", "version": "2.0"},
        "targets": {"devices": ["a", "b", "c"]},
        "waves": [{"name": "canary", "count": 1}, {"rest": True}],
    }
    assert read_campaign_request(campaign.body).to_spec() == campaign.to_spec()


def test_a_list_in_a_blob_keeps_its_name(tmp_path: Path) -> None:
    (campaign,) = read(tmp_path, GOOD.replace("devices: [a, b, c]", "list: north.txt")).file.campaigns
    assert json.loads(campaign.body)["targets"] == {"list": "north.txt"}


def test_name_and_revision_alone_make_the_key(tmp_path: Path) -> None:
    def key(text: str) -> str:
        (campaign,) = read(tmp_path, text).file.campaigns
        return campaign.idempotency_key

    assert (
        key(GOOD)
        == key(GOOD.replace("[a, b, c]", "[d]"))
        == key(GOOD.replace("name: spring", "name: spring\n    revision: 1"))
    )
    assert key(GOOD) != key(GOOD.replace("name: spring", "name: summer"))
    assert key(GOOD) != key(GOOD.replace("name: spring", "name: spring\n    revision: 2"))
    assert len(key(GOOD.replace("spring", "Frühling"))) <= 255


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "count: 1",
            "count: 0",
            "spring.yaml:8: campaigns.0.waves.0.count: Input should be greater",
        ),
        ("rest: true", "rset: true", "spring.yaml:9: campaigns.0.waves.1.rset: there is no such field here"),
        (
            '"2.0"',
            "2.0",
            "spring.yaml:4: campaigns.0.package.version: Input should be a valid string; write",
        ),
        ("groundswell: 1", "groundswell: 2", "spring.yaml:1: groundswell: Input should be 1"),
        ("    targets:", "    turgets:", "spring.yaml:3: campaigns.0.targets: Field required"),
        (
            "      - rest: true",
            "      - percent: 10",
            "spring.yaml:7: campaigns.0.waves: the waves hold 2 of 3",
        ),
        ("count: 1}", "percent: 101}", "spring.yaml:8: campaigns.0.waves.0.percent: Input should be less than"),
        (
            "count: 1}",
            "count: 1, gate: {minimum_completed: 2}}",
            "spring.yaml:8: campaigns.0.waves.0.gate.minimum_completed: 2 devices can never end in a wave of 1",
        ),
        (
            "[a, b, c]",
            "[a, 'no space', c]",
            "spring.yaml:6: campaigns.0.targets.devices.1: 'no space' is not an",
        ),
        ("groundswell: 1\n", "groundswell: 1\ngroundswell: 1\n", "spring.yaml:2: groundswell is there twice"),
        ("groundswell: 1\n", "groundswell: [1\n", "spring.yaml:2: "),
        ("groundswell: 1\n", "", "spring.yaml:1: groundswell: Field required"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    assert any(line.startswith(complaint) for line in complaints(tmp_path, GOOD.replace(old, new))), complaints(
        tmp_path, GOOD.replace(old, new)
    )


def test_two_campaigns_of_one_name_and_revision_are_refused(tmp_path: Path) -> None:
    again = GOOD + GOOD.split("campaigns:\n")[1]
    assert "campaigns.1 has the name and revision of one before it" in complaints(tmp_path, again)[0]


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CampaignFileInvalid, match=r"nowhere\.yaml: .*No such file"):
        read_campaign_file(tmp_path / "nowhere.yaml")


def test_what_the_service_says_carries_the_lines_of_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    told = found.explain(0, "waves.1.rest: too late; see below; targets: nobody; try again")
    assert [line.removeprefix(f"{tmp_path}/") for line in told.splitlines()] == [
        "spring.yaml:9: campaigns.0.waves.1.rest: too late; see below",
        "spring.yaml:5: campaigns.0.targets: nobody; try again",
    ]
    assert found.explain(0, "there is no package").endswith("spring.yaml:3: campaigns.0: there is no package")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:00", "22:00"),
        ("no", "no"),
        ("'1'", "1"),
        ("1", 1),
        ("-1.5e3", -1500.0),
        ("0123", "0123"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("True", True),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("", None),
        ("!!str 5", "5"),
    ],
)
def test_words_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    assert read_yaml(text).value == value


@pytest.mark.parametrize(
    "text", ["&a [*a]", "? [a]\n: b", "!!python/object:os.system x", "!!int x", "a: b: c", "\x00", "a\n---\nb"]
)
def test_what_json_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(YamlInvalid, match=r"^\d+: "):
        read_yaml(text)
