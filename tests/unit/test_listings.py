"""Pages of all listings are numbered through in one row."""

from __future__ import annotations

from shared.domain.listings import Listing, ListingKind, page_spans
from shared.domain.planning import Planning

TARGETS, EXCLUDED = Listing(kind=ListingKind.TARGETS, query="q"), Listing(kind=ListingKind.EXCLUDED, query="q")


def test_each_listing_has_its_own_pages() -> None:
    assert page_spans(Planning(page=5, ends=(3, 5)), [TARGETS, EXCLUDED]) == [(0, 3), (3, 5)]


def test_a_row_from_before_there_were_several_listings_has_its_pages_in_one() -> None:
    assert page_spans(Planning(page=3), [TARGETS]) == [(0, 3)]
