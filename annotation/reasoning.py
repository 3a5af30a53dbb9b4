"""Verdicts -> machine rationales: what asks for them, and how they are stored. A project's own templates: phrasing.py.

A rationale of a machine is kept apart from those of people: its source is "machine", it names template and run, and
where the verdict was given away to the model it is marked as hinted for good (STaR, Zelikman et al., arXiv 2203.14465).

The prompts with which the rationales of "Preference optimisation with rationales" (Just et al., arXiv 2407.14477) were
generated stand in that paper's appendix, which was not at hand: "general" and "specific" are reconstructed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from annotation.errors import Refused
from annotation.generating import storable
from annotation.models import Annotator, Rationale, Run
from annotation.questions import headings_of, quoted

LONGEST_TEMPLATE = 10_000
LONGEST_RATIONALE = 20_000

_PROMPT = '## Prompt:\n"{prompt}"\n\n'
_GIVEN = _PROMPT + '## Preferred response:\n"{chosen}"\n\n## Other response:\n"{rejected}"\n\n## Task:\n'
# {mark_a} and {mark_b} are empty, or say which one is right: that is the hint.
_OPEN = _PROMPT + "## Response 'A'{mark_a}:\n\"{a}\"\n\n## Response 'B'{mark_b}:\n\"{b}\"\n\n## Task:\n"
HINT: Final = " (CORRECT)"

BUILT_IN: dict[str, str] = {
    "general": _GIVEN
    + "Given the prompt and the two responses, explain in general, high-level terms why the preferred response is "
    "preferred, without referring to specific details.",
    "specific": _GIVEN
    + "Given the prompt and the two responses, explain why the preferred response is preferred, with specific "
    "references to the content of both responses.",
    "unaided": _OPEN + "Think about which of the two responses is better, and explain why. End with your choice.",
}
GIVEN_PLACES = frozenset({"prompt", "chosen", "rejected"})
OPEN_PLACES = frozenset({"prompt", "a", "b", "mark_a", "mark_b"})


@dataclass(frozen=True)
class Wording:
    """A template as it is used: its name with its version, and its text."""

    name: str
    version: str
    text: str

    @property
    def is_open(self) -> bool:
        """It asks for the reasons without giving the verdict away."""
        return "chosen" not in places_of(self.text)

    def explain(self, *, prompt: str, chosen: str, rejected: str) -> list[dict[str, str]]:
        """Ask why `chosen` is better."""
        return self._filled(prompt=prompt, chosen=chosen, rejected=rejected)

    def think(self, *, prompt: str, a: str, b: str, hint: str = "") -> list[dict[str, str]]:
        """Ask which is better and why. `hint` ("A" or "B") gives the verdict away."""
        marks = {f"mark_{letter.lower()}": HINT if hint == letter else "" for letter in "AB"}
        return self._filled(prompt=prompt, a=a, b=b, **marks)

    def _filled(self, **texts: str) -> list[dict[str, str]]:
        headings = headings_of(self.text)
        said = {
            name: text if name.startswith("mark_") else quoted(text, headings=headings) for name, text in texts.items()
        }
        return [{"role": "user", "content": re.sub(r"\{(\w+)\}", lambda place: said[place[1]], self.text)}]


def places_of(text: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(re.findall(r"\{(\w+)\}", text))


def check_template(text: str) -> None:
    """Raises `Refused` unless the template has a place for each text that it needs, and no other."""
    have = places_of(text)
    check_places(text, wanted=GIVEN_PLACES if have & {"chosen", "rejected"} else OPEN_PLACES, of="The template")


def check_length(text: str, *, of: str) -> None:
    """Raises `Refused` where a text of a template is too long. `of` begins the sentence."""
    if len(text) > LONGEST_TEMPLATE:
        raise Refused(f"{of} has {len(text):,} characters. It may have {LONGEST_TEMPLATE:,}.")


def check_places(text: str, *, wanted: frozenset[str], of: str) -> None:
    """Raises `Refused` where a text is too long, lacks one of the places, or has another. `of` begins the sentence."""
    check_length(text, of=of)
    have = places_of(text)
    if missing := sorted(wanted - have):
        raise Refused(f"{of} has no place {{{missing[0]}}}. It needs {_in_braces(wanted)}.")
    if strange := sorted(have - wanted):
        takes = f"It takes {_in_braces(wanted)}." if wanted else "It takes none."
        raise Refused(f"{of} has a place {{{strange[0]}}} that nothing fills. {takes}")


def _in_braces(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


# ---- what machines wrote ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """One rationale as a machine wrote it. `explains` is the side whose preference it gives reasons for."""

    pair_id: int
    text: str
    template: str
    explains: str
    is_hinted: bool


def explained(*, run: Run) -> set[tuple[int, str]]:
    """What a run has written already, as (pair, template)."""
    return set(Rationale.objects.filter(run=run, source=Rationale.Source.MACHINE).values_list("pair_id", "template"))


def record_rationales(*, run: Run, judge: Annotator, written: Sequence[Written]) -> int:
    """Store what a machine wrote. What is there stays: twice does no harm. Empty texts are not stored.

    The caller holds the run: call it inside `hold.fenced()`. Returns how many are new.
    """
    here = explained(run=run)
    new = [
        Rationale(
            pair_id=one.pair_id,
            annotator=judge,
            text=text[:LONGEST_RATIONALE],
            source=Rationale.Source.MACHINE,
            template=one.template,
            explains=one.explains,
            is_hinted=one.is_hinted,
            run=run,
        )
        for one in written
        if (text := storable(one.text).strip()) and (one.pair_id, one.template) not in here
    ]
    Rationale.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)
