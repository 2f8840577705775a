"""Address ranges that a firewall of Azure would refuse are refused before anything is made."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml

from scripts.check_ranges import FIREWALLS, SETTINGS, Firewall, complaints
from tests.support.bicep import INFRA, ROOT

PAGE = (ROOT / "docs/private-networking.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "ranges",
    ["", " ", "203.0.113.0/24", "203.0.113.7", "203.0.113.7/32", "203.0.113.0/30", "203.0.113.0/24, 198.51.100.7,"],
)
def test_ranges_of_the_internet_are_taken(setting: str, ranges: str) -> None:
    assert complaints({setting: ranges}) == []


def test_nothing_set_is_open_to_everybody() -> None:
    assert complaints({}) == []


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("ranges", "why"),
    [
        ("10.0.0.0/8", "private (RFC 1918): 10.0.0.0/8"),
        ("10.1.2.3", "private (RFC 1918): 10.0.0.0/8"),
        ("172.20.0.0/16", "private (RFC 1918): 172.16.0.0/12"),
        ("192.168.1.0/24", "private (RFC 1918): 192.168.0.0/16"),
        # A range that only contains a private one.
        ("172.0.0.0/8", "private (RFC 1918): 172.16.0.0/12"),
        ("100.64.0.0/16", "shared by a provider's customers"),
        ("127.0.0.1", "the machine itself"),
        ("0.0.0.0/0", "that is everybody; leave the setting empty"),
        ("2001:db8::/32", "only IPv4 is taken"),
        ("203.0.113.7/24", "must be written 203.0.113.0/24"),
        ("203.0.113.0/255.255.255.0", "must be written 203.0.113.0/24"),
        ("203.0.113.0/33", "must be an IPv4 address or a range"),
        ("203.0.113", "must be an IPv4 address or a range"),
        ("office", "must be an IPv4 address or a range"),
        ("203.0.113.0/24;198.51.100.7", "must be an IPv4 address or a range"),
        ("203.0.113.7,203.0.113.7/32", "stands there twice"),
    ],
)
def test_what_no_firewall_takes_is_named_with_its_setting(setting: str, ranges: str, why: str) -> None:
    [complaint] = complaints({setting: ranges})
    assert complaint.startswith(f"{setting}: ")
    assert why in complaint


@pytest.mark.parametrize("setting", ["OPERATOR_RANGES", "DEVICE_RANGES"])
def test_two_addresses_are_no_range_for_a_storage_account(setting: str) -> None:
    assert complaints({setting: "203.0.113.6/31"}) == [
        f"{setting}: 203.0.113.6/31: too small a range for a storage account; write 203.0.113.6,203.0.113.7"
    ]
    assert complaints({setting: "203.0.113.6,203.0.113.7"}) == []
    assert complaints({"HUB_RANGES": "203.0.113.6/31"}) == []


def test_all_complaints_come_at_once() -> None:
    wrong = complaints({"OPERATOR_RANGES": "10.0.0.1,nonsense", "DEVICE_RANGES": "203.0.113.6/31", "HUB_RANGES": "::1"})
    assert [one.split(": ")[:2] for one in wrong] == [
        ["OPERATOR_RANGES", "10.0.0.1"],
        ["OPERATOR_RANGES", "nonsense"],
        ["DEVICE_RANGES", "203.0.113.6/31"],
        ["HUB_RANGES", "::1"],
    ]


@pytest.mark.parametrize("firewall", FIREWALLS, ids=lambda firewall: firewall.name)
def test_a_firewall_has_room_for_so_many_and_no_more(firewall: Firewall) -> None:
    addresses = [f"203.0.{number // 250}.{number % 250 + 1}" for number in range(firewall.max_rules + 1)]
    [first, *others] = firewall.settings

    def told(given: list[str]) -> list[str]:
        half = len(given) // 2 if others else len(given)
        parts = {first: ",".join(given[:half]), **{other: ",".join(given[half:]) for other in others}}
        return [one for one in complaints(parts) if f"a {firewall.name} takes" in one]

    assert told(addresses[:-1]) == []
    [complaint] = told(addresses)
    assert f"takes {firewall.max_rules} ranges, and these are {firewall.max_rules + 1}" in complaint


def test_one_range_for_both_counts_once_where_both_come_together() -> None:
    addresses = ",".join(f"203.0.113.{number}" for number in range(200))
    assert complaints({"OPERATOR_RANGES": addresses, "DEVICE_RANGES": addresses}) == []


# The hook


def hook(**ranges: str) -> subprocess.CompletedProcess[str]:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]
    script = ROOT / hooks["preprovision"]["run"]
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | ranges
    return subprocess.run([str(script)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_azd_asks_before_it_provisions_and_stops_at_a_range_that_would_be_refused() -> None:
    done = hook(OPERATOR_RANGES="203.0.113.6/31", DEVICE_RANGES="10.0.0.0/8")
    assert done.returncode == 1
    first, second, last = done.stderr.splitlines()
    assert first.startswith("OPERATOR_RANGES: 203.0.113.6/31: too small")
    assert second.startswith("DEVICE_RANGES: 10.0.0.0/8: private")
    assert "azd env set" in last
    assert done.stdout == ""


def test_azd_goes_on_with_ranges_that_are_well_and_without_any() -> None:
    for ranges in ({}, {"OPERATOR_RANGES": "203.0.113.0/24", "HUB_RANGES": ""}):
        done = hook(**ranges)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Template and page


def test_the_template_reads_the_ranges_as_the_check_does() -> None:
    """Blanks, empty entries, and /32, which storage refuses and the apps want."""
    main = (INFRA / "main.bicep").read_text()
    for variable, parameter in (("operators", "operator"), ("devices", "device"), ("hubCallers", "hub")):
        assert (
            f"var {variable} = map(filter(split({parameter}Ranges, ','), one => !empty(trim(one))), "
            "one => replace(trim(one), '/32', ''))"
        ) in main
        assert len(re.findall(rf"\b{parameter}Ranges\b", main)) == 2  # the parameter, and this
    assert "ipAddress: contains(cidr, '/') ? cidr : '${cidr}/32'" in (INFRA / "modules/app.bicep").read_text()


def test_every_firewall_that_gets_ranges_is_checked() -> None:
    """Whoever hands ranges to another resource finds out here that its rules are to be looked up."""
    loops = {
        path.stem: re.findall(r"for (?:cidr|\(cidr, i\)) in ([^:]+):", path.read_text())
        for path in (INFRA / "modules").glob("*.bicep")
    }
    assert {name: found for name, found in loops.items() if found} == {
        "app": ["callers"],
        "iothub": ["allowed"],
        "keyvault": ["operators"],
        "storage": ["union(operators, devices)"],
    }


def test_the_page_has_the_rules() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ((?:`[A-Z_]+`(?:, )?)+) \| ([^|]+) \| (\d+)[^|]* \|", PAGE, re.M)
    told = {name: (tuple(re.findall(r"`(\w+)`", settings)), small, int(most)) for name, settings, small, most in rows}
    assert told == {
        one.name: (
            one.settings,
            "yes" if one.longest_prefix == 32 else f"no, up to /{one.longest_prefix}",
            one.max_rules,
        )
        for one in FIREWALLS
    }
