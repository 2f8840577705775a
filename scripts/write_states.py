"""Write ``docs/states.md`` from the transition tables: ``.venv/bin/python -m scripts.write_states``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from shared.domain.campaign_specs import Deadlines
from shared.domain.campaigns import CAMPAIGN_TRANSITIONS, FINISHED, CampaignState
from shared.domain.retries import RETRYABLE
from shared.domain.rollouts import FINAL, PROGRESS, REPORTABLE, TRANSITIONS, RolloutState
from shared.domain.steps_by_operators import FITS, GOING_BACK, HOLDS, OperatorAction
from shared.domain.waves import WAVE_TRANSITIONS, WaveState

PAGE = Path(__file__).parents[1] / "docs/states.md"

R, C, W = RolloutState, CampaignState, WaveState

ROLLOUT_MEANINGS: Mapping[RolloutState, str] = {
    R.PLANNED: "in a wave that has not reached it, or waiting for a further attempt",
    R.OFFERED: "the offer is in the twin, or on its way there",
    R.DOWNLOADING: "the device took the offer and fetches the package",
    R.DOWNLOADED: "the package is on the device, verified",
    R.INSTALLING: "the package is being written into the other slot",
    R.RESTARTING: "the device restarts into the new slot",
    R.SUCCEEDED: "the health check passed after the restart, and the device runs the version",
    R.FAILED: "the device gave up, or the hub refused its twin; `code` says why",
    R.REJECTED: "the device will not take the package; `code` says why",
    R.TIMED_OUT: "nothing was heard before the deadline; `code` is the state it was silent in",
    R.CANCELLED: "the campaign was cancelled before the device ended; `code` is the state it was in",
    R.SKIPPED: "left out: held elsewhere, up to date, deleted, quarantined, in a skipped wave; `code` says which",
    R.REGRESSED: "it succeeded, and later reported another version",
}
CAMPAIGN_MEANINGS: Mapping[CampaignState, str] = {
    C.PLANNING: "targets are listed, ordered, cut into waves and claimed",
    C.AWAITING_APPROVAL: "waiting for people to approve its next wave, or that its devices go back",
    C.SCHEDULED: "planned and approved, and waiting for its time",
    C.RUNNING: "waves are dispatched and judged",
    C.PAUSED: "nothing new is offered; `reason` says who or what paused it",
    C.COMPLETED: "all waves passed or were skipped",
    C.ABORTED: "cancelled, or impossible; its open offers are taken back",
    C.REVERTING: "its offers are taken back, and then campaigns of their own offer its devices what they ran before",
    C.REVERTED: "they run it",
}
WAVE_MEANINGS: Mapping[WaveState, str] = {
    W.PENDING: "waits for the gate before it",
    W.DISPATCHING: "its batches go to the queue, as the hub's budget allows",
    W.RUNNING: "all batches are out, devices report",
    W.SOAKING: "its gate is content, and goes on looking until the soak is over",
    W.PASSED: "the gate let the next wave start",
    W.FAILED: "the gate stopped the campaign, maybe after it had let it pass; or the campaign was ended in it",
    W.SKIPPED: "left out by an operator, or not begun when the campaign was ended",
}


def write_page() -> str:
    """The whole page."""
    return "\n".join([*_head(), *_rollouts(), *_waves(), *_campaigns(), *_actions()]) + "\n"


def _head() -> Iterator[str]:
    yield "# States"
    yield ""
    yield "This page is made from the transition tables in `shared/domain` by `python -m scripts.write_states`;"
    yield "a test fails when it is out of date. The words are those in tables, messages and twins."
    yield ""


def _rollouts() -> Iterator[str]:
    deadlines = Deadlines()
    yield "## A device in a campaign"
    yield ""
    yield "| state | meaning | who says so | lasts at most (unless the campaign says otherwise) | may be followed by |"
    yield "|---|---|---|---|---|"
    for state in RolloutState:
        who = "device" if state in REPORTABLE else "service"
        limit = "the end" if state in FINAL else _duration(deadlines.of(state))
        yield f"| `{state}` | {ROLLOUT_MEANINGS[state]} | {who} | {limit} | {_words(TRANSITIONS[state])} |"
    yield ""
    yield "States may be skipped, because events may be merged or lost. Reports may come in any order: the device's"
    yield "earliest end counts, before an end the furthest state, and a success stands only while no later report names"
    yield "another version. A device that failed, was silent or regressed may get a further attempt, which begins as"
    yield "`planned`. Where the service cuts it short, the state in which the attempt before ended stands again."
    yield ""
    yield from _diagram(_rollout_arrows())


def _rollout_arrows() -> Iterator[str]:
    """The way of a device that skips nothing; what may come from each of its states is drawn once, from all of them."""
    yield "[*] --> planned"
    yield "state open {"
    yield from (f"    {before} --> {after}" for before, after in pairwise(PROGRESS))
    yield "}"
    ends = {end for state in PROGRESS for end in TRANSITIONS[state] if end in FINAL}
    yield from (f"open --> {end}" for end in RolloutState if end in ends)
    yield from _arrows({state: after for state, after in TRANSITIONS.items() if state in FINAL})
    yield from (f"{state} --> planned: a further attempt" for state in RolloutState if state in RETRYABLE)


def _waves() -> Iterator[str]:
    yield "## A wave"
    yield ""
    yield "| state | meaning | may be followed by |"
    yield "|---|---|---|"
    for state in WaveState:
        yield f"| `{state}` | {WAVE_MEANINGS[state]} | {_words(WAVE_TRANSITIONS[state])} |"
    yield ""
    yield from _diagram(["[*] --> pending", *_arrows(WAVE_TRANSITIONS)])


def _campaigns() -> Iterator[str]:
    yield "## A campaign"
    yield ""
    yield "| state | meaning | finished | may be followed by |"
    yield "|---|---|---|---|"
    for state in CampaignState:
        finished = "yes" if state in FINISHED else ""
        yield f"| `{state}` | {CAMPAIGN_MEANINGS[state]} | {finished} | {_words(CAMPAIGN_TRANSITIONS[state])} |"
    yield ""
    yield from _diagram(["[*] --> planning", *_arrows(CAMPAIGN_TRANSITIONS)])


def _actions() -> Iterator[str]:
    yield "## What operators may do"
    yield ""
    yield "`does`: the action changes something; `is so`: it is answered like the first time, and changes nothing;"
    yield "otherwise it is refused with 409, and the answer names the actions that fit. What each does to devices is in"
    yield "[campaigns.md](campaigns.md)."
    yield ""
    yield "A campaign that is being reverted may be `paused` or `awaiting_approval` too; then only"
    yield f"{_words(GOING_BACK)} fit, and the last one is so already."
    yield ""
    yield f"| | {' | '.join(f'`{state}`' for state in CampaignState)} |"
    yield f"|---|{'---|' * len(CampaignState)}"
    for action in OperatorAction:
        yield f"| **{action}** | {' | '.join(_effect(action, state) for state in CampaignState)} |"


def _effect(action: OperatorAction, state: CampaignState) -> str:
    if state in HOLDS.get(action, frozenset()):
        return "is so"
    return "does" if state in FITS[action] else ""


def _diagram(arrows: Iterable[str]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield from (f"    {arrow}" for arrow in arrows)
    yield "```"
    yield ""


def _arrows[S: StrEnum](transitions: Mapping[S, frozenset[S]]) -> Iterator[str]:
    for before, followers in transitions.items():
        yield from (f"{before} --> {after}" for after in type(before) if after in followers)


def _words[S: StrEnum](states: Iterable[S]) -> str:
    """In the order the states are declared, so that the page does not change from run to run."""
    chosen = set(states)
    ordered = [state for kind in {type(state) for state in chosen} for state in kind if state in chosen]
    return ", ".join(f"`{state}`" for state in ordered) or "nothing"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "its wave's turn"
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds / size
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


if __name__ == "__main__":
    PAGE.write_text(write_page())
