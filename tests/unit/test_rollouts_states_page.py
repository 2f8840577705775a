"""The page about states says what the code does."""

from __future__ import annotations

from scripts.write_states import PAGE, write_page


def test_the_page_about_states_is_made_from_the_transition_tables() -> None:
    assert PAGE.read_text() == write_page(), "run: .venv/bin/python -m scripts.write_states"
