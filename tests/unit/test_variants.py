"""Several packages in one campaign: which of them is for a device, and when nobody could tell."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.folding import essential_reports, fold_report
from shared.domain.packages import Package
from shared.domain.rollouts import PackageTarget, Report, RolloutState
from shared.domain.variants import choose_variant, find_ambiguous, fits, pick
from shared.wire.campaign_rows import read_campaign, write_campaign_row, write_signed_spec
from shared.wire.rollout_rows import read_rollout, write_rollout
from tests.support.made_campaigns import make_campaign, make_variant, with_packages
from tests.support.rollouts import TARGET, make_report, make_rollout

S = RolloutState


A, B = make_variant("fw-a", "gw-1", "gw-2"), make_variant("fw-b", "gw-3")


@pytest.mark.parametrize(
    ("packages", "hardware", "chosen"),
    [
        ([A, B], "gw-1", 0),
        ([A, B], "gw-2", 0),
        ([A, B], "gw-3", 1),
        ([A, B], "gw-4", None),
        ([A, B], "", None),
        ([A], "gw-3", 0),
        ([make_variant("any")], "", 0),
    ],
)
def test_the_package_that_accepts_the_hardware_is_chosen(
    packages: list[Package], hardware: str, chosen: int | None
) -> None:
    """Of one package it is not asked: the device judges for itself, as it always did."""
    assert choose_variant(packages, hardware) == chosen


@pytest.mark.parametrize(
    ("packages", "field", "words"),
    [
        ([A, make_variant("any")], "packages.1", "for any hardware"),
        ([A, make_variant("fw-c", "gw-2", "gw-9")], "packages.1", "it is for gw-2, as packages.0 is"),
        ([A, B, A], "packages.2", "it is for gw-1, gw-2, as packages.0 is"),
    ],
)
def test_packages_of_which_two_could_be_for_one_device_are_no_variants(
    packages: list[Package], field: str, words: str
) -> None:
    assert list(find_ambiguous([A, B])) == []
    [complaint] = find_ambiguous(packages)
    assert complaint.startswith(f"{field}: ")
    assert words in complaint


@given(st.lists(st.sets(st.sampled_from("pqrstu"), max_size=3), min_size=2, max_size=8))
def test_at_most_one_of_unambiguous_packages_fits_any_hardware(accepted: list[set[str]]) -> None:
    packages = [make_variant(f"fw-{number}", *sorted(hardware)) for number, hardware in enumerate(accepted)]
    if list(find_ambiguous(packages)):
        return
    for hardware in "pqrstuv":
        fitting = [number for number, values in enumerate(accepted) if hardware in values]
        assert [choose_variant(packages, hardware)] == (fitting or [None])


@pytest.mark.parametrize(
    ("number", "hardware", "expected"),
    [(0, "gw-1", True), (1, "gw-3", True), (1, "gw-1", False), (0, "gw-9", False), (1, "", True), (2, "", False)],
)
def test_a_row_fits_where_its_variant_is_for_its_hardware(number: int, hardware: str, expected: bool) -> None:
    """What the row does not know is left to the device."""
    assert fits([A, B], make_rollout(variant=number, hardware=hardware)) is expected


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_a_row_with_a_number_that_no_package_has_breaks_nothing(number: int) -> None:
    assert pick("ab", number) == "a"


def test_rows_written_before_there_were_variants_are_of_the_one_package() -> None:
    """The signature over such a campaign holds, too: what is signed has not changed for one package."""
    row = write_rollout(make_rollout(variant=1), 0)
    assert read_rollout(row).variant == 1
    assert read_rollout({name: value for name, value in row.items() if name != "variant"}).variant == 0
    campaign = make_campaign([])
    document = write_campaign_row(campaign)
    del document["other_package_records"]
    assert read_campaign(document).packages == (campaign.package,)
    assert b"other_packages" not in write_signed_spec(campaign)


def test_the_rows_of_a_campaign_hold_all_its_packages_and_the_signature_covers_them() -> None:
    several = with_packages(make_campaign([]), [A, B])
    assert read_campaign(write_campaign_row(several)).packages == (A, B)
    changed = replace(several, other_packages=(replace(B, sha256="6" * 64),))
    alone = replace(several, other_packages=(), spec=replace(several.spec, other_packages=()))
    assert len({write_signed_spec(campaign) for campaign in (several, changed, alone)}) == 3


OTHER = PackageTarget(name="fw-b", version="3.0.0")
VERSIONS = st.sampled_from(["1.4.0", "2.0.0", "3.0.0"])
STATES = st.sampled_from(["downloading", "installing", "restarting", "succeeded", "failed"])
HISTORIES = st.lists(st.tuples(STATES, VERSIONS, VERSIONS), min_size=1, max_size=8)


@given(HISTORIES, st.sampled_from([TARGET, OTHER]))
def test_what_is_essential_for_any_package_folds_as_all_reports_do(
    history: list[tuple[str, str, str]], target: PackageTarget
) -> None:
    """The relay does not know which of the packages a device gets; only its row does."""
    reports = [
        make_report(state=state, at=at, installed={TARGET.name: one, OTHER.name: other})
        for at, (state, one, other) in enumerate(history, start=1)
    ]
    kept = {report.mark: report for each in (TARGET, OTHER) for report in essential_reports(reports, each)}
    assert _fold([kept[mark] for mark in sorted(kept)], target) == _fold(reports, target)


def _fold(reports: list[Report], target: PackageTarget) -> object:
    row = reduce(lambda row, report: fold_report(row, report, target, now=report.mark.last_updated), reports, ROW)
    return replace(row, changed_at=ROW.changed_at)


ROW = make_rollout()
