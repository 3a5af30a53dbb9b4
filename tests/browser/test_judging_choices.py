"""Whatever is chosen on the judging page is what is stored: every control, drawn at random, on both sides."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from annotation import guiding
from annotation.guiding import Entry
from annotation.models import Assignment, Flag, Pair, Project, SkipReason
from tests.browser.sitting import JUDGE, TOWARDS_A, comes_true, shown, soon, stored

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# The key of each verdict, and what it is called in the form.
VERDICTS = {"1": "a3", "2": "a2", "3": "a1", "4": "same", "5": "b1", "6": "b2", "7": "b3", "0": "bad"}
NOTES = ("", "Because it is right.", "Two lines,\nthe second one. 😀", "لأنه أصح", "<b>1 &amp; 2</b> \\u0041")
VOTES = ("a", "b", "same", "irrelevant")
# What each pair is answered with: all verdicts and all reasons to skip, on each side of the swap twice on average.
ROUNDS = [*VERDICTS, *SkipReason.values] * 4


class Hand:
    """Chooses by key or by click, as it is drawn, and knows what was chosen."""

    def __init__(self, page: Page, rng: np.random.Generator, principles: list[int]) -> None:
        self.page, self.rng, self.principles = page, rng, principles
        self.chosen: dict[int, dict[str, Any]] = {}
        self.drawn: Counter[tuple[str, object]] = Counter()
        # In turn: which of them come depends on the page, and a draw might leave one out.
        self.owed: list[int] = []
        self.turns = itertools.count()
        self.decisive = 0

    def pick(self, what: str, of: Any) -> Any:
        found = of[int(self.rng.integers(len(of)))]
        self.drawn[what, found] += 1
        return found

    def some(self, what: str, of: list[str], most: int) -> list[str]:
        found = [str(one) for one in self.rng.permutation(of)[: int(self.rng.integers(most + 1))]]
        self.drawn.update((what, one) for one in found)
        return found

    def verdict(self, key: str) -> None:
        if self.pick("by", ("key", "click")) == "key":
            self.page.keyboard.press("Escape")
            self.page.keyboard.press(key)
        else:
            self.page.locator(f".seg:has([name=verdict][value={VERDICTS[key]}])").click()

    def votes(self, *, some_left_out: bool, apart: bool) -> dict[int, str]:
        """One for each principle, the first left out every other time where that may be; two pull apart if asked."""
        leave_out = next(self.turns) % 2 if some_left_out else 0
        said = {one: self.pick("vote", VOTES) for one in self.principles[leave_out:]}
        if apart:
            said |= dict(zip(said, ("a", "b"), strict=False))
        self.drawn["leave out", leave_out] += 1
        for principle, vote in said.items():
            self.page.locator(f".cell:has([name=vote-{principle}][value={vote}])").click()
        return said

    def decides(self, voted: dict[int, str]) -> int:
        """Each principle and none of them (0) in turn, of those that were voted on."""
        self.owed = self.owed or [*self.principles, 0]
        found = next((one for one in self.owed if one in voted or not one), 0)
        self.owed = [one for one in self.owed if one != found]
        self.drawn["deciding", found] += 1
        return found

    def flag(self, flags: list[str]) -> None:
        for one in flags:
            self.page.keyboard.press("Escape")
            self.page.keyboard.press("f")
            self.page.locator(f"[data-flag-as={one}]").click()

    def go_on(self, before: int) -> None:
        """Send. Who is asked once more for what is missing sends again."""
        self.page.keyboard.press("Control+Enter")
        comes_true(
            self.page,
            "before => document.querySelector('#judging').assignment.value != before"
            " || document.querySelector('[data-line]').dataset.kind === 'nudge'",
            before,
        )
        if shown(self.page) == before:
            self.page.keyboard.press("Control+Enter")

    def answer(self, choice: str, tags: list[str]) -> None:
        page, assignment = self.page, shown(self.page)
        if self.pick("turned", (False, True, False)):
            page.keyboard.press("x")
        said: dict[str, Any] = {"tags": set(self.some("tag", tags, 3)), "note": self.pick("note", NOTES)}
        said["flags"] = set(self.some("flag", list(Flag.values), 2))
        for tag in said["tags"]:
            page.locator(f".chip:has([value={tag}])").click()
        self.flag(sorted(said["flags"]))
        page.locator("#note").fill(said["note"])
        page.keyboard.press("Escape")
        self.chosen[assignment] = said
        if choice in SkipReason.values:
            said |= {"skip": choice, "votes": {}, "deciding": None, "towards_a": None}
            page.keyboard.press("s")
            page.locator(f"[data-skip={choice}]").click()
        else:
            overall_first = page.locator("[data-votes][data-waits]").count() == 1
            self.drawn["overall first", overall_first] += 1
            said |= {"skip": "", "towards_a": TOWARDS_A[choice]}
            if overall_first:
                self.verdict(choice)
            is_decided = bool(TOWARDS_A[choice])
            self.decisive += is_decided
            said["votes"] = self.votes(some_left_out=overall_first, apart=is_decided and self.decisive % 2 == 0)
            if not overall_first:
                self.verdict(choice)
            said["deciding"] = None
            if is_decided and {"a", "b"} <= set(said["votes"].values()):
                decided = self.decides(said["votes"])
                page.locator("[name=deciding]").select_option(str(decided))
                said["deciding"] = decided or None
            page.locator("#note").focus()
            self.go_on(assignment)
        soon(lambda: page.locator("#judging [name=assignment]").count() == 0 or shown(page) != assignment)


def test_what_is_stored_is_what_was_chosen(enter: Any, alice: Any, project: Any, make_pair: Any) -> None:
    entries = [Entry(short=name, text=f"Be {name}.") for name in ("correct", "kind", "brief")]
    guideline = guiding.publish_guideline(project=project, text="# Judge\n\nJudge well.", principles=entries)
    guiding.acknowledge(annotator=alice, guideline=guideline)
    Project.objects.update(votes_policy="all")
    for n in range(len(ROUNDS) + 1):
        make_pair(first=f"first {n}", second=f"second {n}")
    page = enter(alice, JUDGE)
    rng = np.random.default_rng(20)
    hand = Hand(page, rng, [place.principle_id for place in guideline.places.all()])
    tags = [tag["key"] for tag in project.tags]
    stood: dict[int, str] = {}
    for choice in rng.permutation(ROUNDS):
        stood[shown(page)] = page.locator("#body-a .text").inner_text().strip()
        hand.answer(str(choice), tags)
    expect(page.locator("[data-count]").first).to_have_text(str(len(ROUNDS)))

    swaps: Counter[tuple[object, bool]] = Counter()
    for assignment, said in hand.chosen.items():
        judgement = stored(assignment)
        pair = Pair.objects.get(assignments=assignment)
        assert stood[assignment] in (pair.first.text, pair.second.text)
        is_swapped = stood[assignment] == pair.second.text
        assert Assignment.objects.get(pk=assignment).swapped is judgement.swapped is is_swapped
        swaps[said["skip"] or said["towards_a"], is_swapped] += 1
        towards_a = said["towards_a"]
        assert judgement.strength == (-towards_a if towards_a and is_swapped else towards_a)
        verdict = "skip" if said["skip"] else {None: "both_bad", 0: "tie"}.get(towards_a, "prefer")
        assert (judgement.verdict, judgement.skip_reason) == (verdict, said["skip"])
        assert set(judgement.flags) == said["flags"]
        why = judgement.rationales.first()
        assert (why.text if why else "") == said["note"]
        assert set(why.tags if why else ()) == said["tags"]
        a, b = ("second", "first") if is_swapped else ("first", "second")
        votes = {p: {"a": a, "b": b}.get(vote, vote) for p, vote in said["votes"].items()}
        assert dict(judgement.votes.values_list("principle_id", "vote")) == votes
        assert judgement.deciding_principle_id == said["deciding"]

    # The draw left nothing out.
    assert len(hand.chosen) == len(ROUNDS)
    assert {side for _, side in swaps} == {True, False}
    whole = {"tag": tags, "flag": Flag.values, "note": NOTES, "vote": VOTES, "by": ("key", "click")}
    whole |= {"turned": (True, False), "overall first": (True, False), "leave out": (0, 1)}
    whole |= {"deciding": [*hand.principles, 0]}
    assert {(what, one) for what, ones in whole.items() for one in ones} <= set(hand.drawn)
