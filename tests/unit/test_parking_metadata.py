"""What a parked message is kept for fits into the metadata of a blob, whoever wrote the text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.wire.parking import read_reason, write_reason

MAX_METADATA_BYTES = 8_192
"""Of one blob in Azure Storage, names and values together."""

# All code points, halves of surrogate pairs included: JSON can hold them.
TEXTS = st.builds(lambda text, times: text * times, st.text(st.characters()), st.integers(1, 2_000))


def size_bytes(metadata: dict[str, str]) -> int:
    return sum(len(name) + len(value.encode("ascii")) for name, value in metadata.items())


def test_a_reason_full_of_emoji_stays_under_the_limit_and_keeps_its_beginning() -> None:
    reason = "the state is " + "\N{FIRE}" * 1_000
    metadata = write_reason(source="twin-changes", code="malformed_message", reason=reason)
    assert size_bytes(metadata) < MAX_METADATA_BYTES
    kept = read_reason(metadata)[2]
    assert reason.startswith(kept)
    assert len(kept) > 150


@given(TEXTS, TEXTS, TEXTS)
def test_no_text_makes_the_metadata_too_big(source: str, code: str, reason: str) -> None:
    assert size_bytes(write_reason(source=source, code=code, reason=reason)) < MAX_METADATA_BYTES
