"""What an answer is: as given on the screen, as stored, as a sentence; and whether it fits the project.

On the screen stand A and B; stored are the pair's first and second candidate. `turned` and `sides` are the only place
where one becomes the other. Nothing here touches the database.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from annotation import ordering
from annotation.errors import Refused
from annotation.models import Flag, Project, SkipReason, Span, Verdict

LONGEST_TEXT = 20_000
MOST_SPANS = 200
# PostgreSQL's integer; also a fortnight, longer than any page is open.
LONGEST_MS = 2**31 - 1

# What each control of the page says: the verdict, and its strength towards A.
CONTROLS: dict[str, tuple[Verdict, int | None]] = {
    "a3": (Verdict.PREFER, 3),
    "a2": (Verdict.PREFER, 2),
    "a1": (Verdict.PREFER, 1),
    "same": (Verdict.TIE, 0),
    "b1": (Verdict.PREFER, -1),
    "b2": (Verdict.PREFER, -2),
    "b3": (Verdict.PREFER, -3),
    "bad": (Verdict.BOTH_BAD, None),
    "skip": (Verdict.SKIP, None),
}

Side = TypeVar("Side")


class Unfit(Refused):
    """The answer does not fit the project's questions. `field` names the form's field that has to be mended."""

    def __init__(self, text: str, *, field: str) -> None:
        super().__init__(text)
        self.field = field


# ---- A and B, first and second --------------------------------------------------------------------------------------


def turned(strength: int | None, *, swapped: bool) -> int | None:
    """A strength towards A as a strength towards the first candidate, and the other way round: it is its own inverse.

    Positive means A on the screen and first in the database. When the second candidate stood as A (`swapped`), the sign
    changes; nothing else does.
    """
    return -strength if swapped and strength is not None else strength


def sides(one: Side, other: Side, *, swapped: bool) -> tuple[Side, Side]:
    """What belongs to (first, second), as (A, B); and the other way round, for it is its own inverse."""
    return (other, one) if swapped else (one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A highlight: `start`..`end` of message number `message`, in code points of the raw text, end exclusive.

    `place` is "prompt", or a candidate: "a" or "b" on the screen, "first" or "second" as stored.
    """

    place: str
    message: int
    start: int
    end: int
    polarity: str = Span.Polarity.SUPPORTS
    tag: str = ""
    principle: int | None = None

    @classmethod
    def read(cls, text: str) -> Marked:
        """A highlight as the page sends it, a JSON object; raises Unfit."""
        try:
            sent = json.loads(text)
            numbers = [sent["message"], sent["start"], sent["end"]]
            principle = sent.get("principle")
            words = [sent["place"], sent.get("polarity", str(Span.Polarity.SUPPORTS)), sent.get("tag", "")]
            whole = [*numbers, *([] if principle is None else [principle])]
            if not all(type(number) is int and 0 <= number < 2**31 for number in whole):
                raise ValueError
            for word in words:
                word.encode()  # Half a character (a lone surrogate) can be neither stored nor shown.
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Unfit(_("A highlight cannot be read. Take it off and mark the words again."), field="span") from None
        place, polarity, tag = words
        message, start, end = numbers
        return cls(place=place, message=message, start=start, end=end, polarity=polarity, tag=tag, principle=principle)

    def on_side(self, names: Mapping[str, str]) -> Marked:
        return replace(self, place=names.get(self.place, self.place))


def _sides_of(*, swapped: bool) -> dict[str, str]:
    a, b = sides("first", "second", swapped=swapped)
    return {"a": a, "b": b}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an answer says, whichever side each candidate stood on."""

    assignment_id: int
    key: uuid.UUID
    skip_reason: str = ""
    flags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    text: str = ""
    spans: tuple[Marked, ...] = ()
    # By principle (its id), of the candidates as the answer names them: one of the two, same or irrelevant.
    votes: Mapping[int, str] = field(default_factory=dict)
    # The principle that decided; 0: none of them; None: not said.
    deciding: int | None = None
    # The version of the guideline (its id) that the annotator had in front of them; 0: none was written; None: not
    # said, then it is the one in force.
    guideline: int | None = None
    active_ms: int | None = None
    first_key_ms: int | None = None
    # Whether the sides changed places on the screen at any time.
    turned: bool = False
    client: str = ""
    # The versions of the draft that whoever answers has seen, as drafting.save_draft takes them; None: not said.
    beyond: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Given):
    """An answer as it is stored: `strength` is positive for the first candidate, -3..3, as in Judgement."""

    verdict: str
    strength: int | None = None
    coverage_first: float | None = None
    coverage_second: float | None = None
    # What was sent as the candidates' texts; None where nothing was.
    edit_first: str | None = None
    edit_second: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(Given):
    """An answer as it was given on the screen: `control` is one of CONTROLS, coverage is of A and B.

    The page does not know which candidate is the first; the server learns it in the statement that stores the answer.
    """

    control: str
    coverage_a: float | None = None
    coverage_b: float | None = None
    edit_a: str | None = None
    edit_b: str | None = None

    def stored(self, *, swapped: bool) -> Answer:
        """The answer to store when the candidates stood like this."""
        verdict, towards_a = CONTROLS[self.control]
        first, second = sides(self.coverage_a, self.coverage_b, swapped=swapped)
        edit_first, edit_second = sides(self.edit_a, self.edit_b, swapped=swapped)
        names = _sides_of(swapped=swapped)
        return Answer(
            assignment_id=self.assignment_id,
            key=self.key,
            verdict=verdict,
            strength=turned(towards_a, swapped=swapped),
            skip_reason=self.skip_reason if verdict == Verdict.SKIP else "",
            flags=self.flags,
            tags=self.tags,
            text=self.text,
            spans=tuple(span.on_side(names) for span in self.spans),
            votes={p: ordering.turned(ordering.VOTES[vote], swapped=swapped) for p, vote in self.votes.items()},
            deciding=self.deciding,
            guideline=self.guideline,
            active_ms=self.active_ms,
            first_key_ms=self.first_key_ms,
            coverage_first=first,
            coverage_second=second,
            edit_first=edit_first,
            edit_second=edit_second,
            turned=self.turned,
            client=self.client,
            beyond=self.beyond,
        )


def control_of(*, verdict: str, strength: int | None, swapped: bool) -> str:
    """The control that says this, on a screen where the candidates stand like this."""
    towards_a = turned(strength, swapped=swapped)
    return next(name for name, says in CONTROLS.items() if says == (verdict, towards_a))


# ---- what a project accepts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What a project asks, as far as an answer must fit it. `version` names the project's row that it was read from."""

    version: str
    scale: int
    strengths: tuple[int, ...]
    allow_tie: bool
    allow_both_bad: bool
    rationale_policy: str
    tags: tuple[str, ...]
    # What decides how principles are asked: the policy, and the principles (ids) of the guideline in force.
    votes_policy: str = Project.VotesPolicy.OFF
    principles: tuple[int, ...] = ()
    guideline_id: int | None = None
    # Every version (id) of the project's guideline: an answer may have been thought over under an earlier one.
    guidelines: tuple[int, ...] = ()
    seed: int = 0
    # Whether checks are among what is handed out: the next pair is then drawn by calibrating.py.
    has_gold: bool = False
    allow_edits: bool = False
    shortest_reason: int = 0

    def asked(self, *, assignment_id: int, user_id: int) -> ordering.Asked:
        return ordering.asked(principles=self.principles, seed=self.seed, assignment_id=assignment_id, user_id=user_id)

    def stamp(self, answer: Given) -> int | None:
        """The version (id) that the answer was given under: the one on the screen, which need not be in force now."""
        return self.guideline_id if answer.guideline is None else answer.guideline or None

    def check(self, answer: Answer) -> None:
        """Raises Unfit, with a sentence and the field's name, unless the answer fits."""
        if answer.verdict == Verdict.PREFER:
            if answer.strength is None or abs(answer.strength) not in self.strengths:
                raise Unfit(
                    _("This project's scale has no such answer. Choose one of those on the page."), field="verdict"
                )
        elif answer.verdict == Verdict.TIE:
            if not self.allow_tie:
                raise Unfit(
                    _("This project asks for a decision: “about the same” is not offered. Choose A or B."),
                    field="verdict",
                )
        elif answer.verdict == Verdict.BOTH_BAD:
            if not self.allow_both_bad:
                raise Unfit(
                    _("“Both bad” is not offered in this project. Choose one of those on the page."), field="verdict"
                )
        elif answer.verdict != Verdict.SKIP:
            raise Unfit(_("Choose an answer first."), field="verdict")
        if answer.verdict == Verdict.SKIP and answer.skip_reason not in SkipReason.values:
            raise Unfit(_("Say why you skip this pair: choose one of the reasons."), field="skip_reason")
        for flag in answer.flags:
            if flag not in Flag.values:
                raise Unfit(
                    _("There is no flag “%(flag)s”. Choose one of those on the page.") % {"flag": flag[:60]},
                    field="flag",
                )
        for tag in answer.tags:
            if tag not in self.tags:
                raise Unfit(
                    _("“%(tag)s” is not among this project's reasons any more. Take it off and send again.")
                    % {"tag": tag[:60]},
                    field="tag",
                )
        if "\0" in answer.text:
            raise Unfit(
                _("Your text contains a NUL character, which cannot be stored. Remove it and send again."), field="note"
            )
        if len(answer.text) > LONGEST_TEXT:
            raise Unfit(
                _("Your text has %(n)s characters; %(most)s is the most. Shorten it.")
                % {
                    "n": number_format(len(answer.text), force_grouping=True),
                    "most": number_format(LONGEST_TEXT, force_grouping=True),
                },
                field="note",
            )
        if answer.guideline and answer.guideline not in self.guidelines:
            raise Unfit(_("This project has no such version of its guideline. Load the page again."), field="guideline")
        self._check_spans(answer)
        self._check_votes(answer)
        if self.rationale_policy == Project.RationalePolicy.REQUIRED and answer.verdict != Verdict.SKIP:
            self._check_reason(answer)

    def _check_reason(self, answer: Answer) -> None:
        written = len(answer.text.strip())
        if written < self.shortest_reason:
            raise Unfit(
                _("This project needs %(least)s characters of your own words for every verdict; there are %(n)s.")
                % {"least": self.shortest_reason, "n": written},
                field="note",
            )
        if not written and not answer.tags and not answer.spans:
            raise Unfit(
                _("This project needs a reason for every verdict. Choose a tag, highlight words, or write a sentence."),
                field="note",
            )

    def _check_spans(self, answer: Answer) -> None:
        if len(answer.spans) > MOST_SPANS:
            raise Unfit(
                _("There are %(n)s highlights; %(most)s is the most.") % {"n": len(answer.spans), "most": MOST_SPANS},
                field="span",
            )
        for span in answer.spans:
            if span.place not in ("prompt", "first", "second") or span.polarity not in Span.Polarity.values:
                raise Unfit(_("A highlight cannot be read. Take it off and mark the words again."), field="span")
            if not 0 <= span.start < span.end:
                raise Unfit(_("A highlight is empty. Take it off and mark the words again."), field="span")
            if span.tag and span.tag not in self.tags:
                raise Unfit(
                    _("“%(tag)s” is not among this project's reasons any more. Take it off that highlight.")
                    % {"tag": span.tag[:60]},
                    field="span",
                )
            if span.principle is not None and span.principle not in self.principles:
                raise Unfit(
                    _("A highlight names a principle that the guideline in force does not have. Choose another."),
                    field="span",
                )

    def _check_votes(self, answer: Answer) -> None:
        for principle, vote in answer.votes.items():
            if principle not in self.principles:
                raise Unfit(
                    _("The guideline has changed, and one of the principles is not in it. Load the page again."),
                    field="votes",
                )
            if vote not in ordering.Vote.values:
                raise Unfit(_("Say for each principle: A, B, the same, or not relevant."), field="votes")
        if answer.deciding and answer.deciding not in answer.votes:
            raise Unfit(_("Choose the principle that decided from those that you have answered."), field="deciding")
        undecided = answer.deciding is None and answer.verdict == Verdict.PREFER
        if undecided and ordering.conflict(answer.votes):
            raise Unfit(_("Your principles pull apart. Say which one decided."), field="deciding")


# What a browser measured never stands in the way of an answer: an impossible number is unknown.


def milliseconds(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= LONGEST_MS else None


def share(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and 0 <= value <= 1 else None


# ---- an answer in words ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A judgement as it was stored, with its rationale."""

    verdict: str
    strength: int | None
    swapped: bool
    skip_reason: str
    flags: list[str]
    text: str
    tags: list[str]
    spans: int = 0
    has_edit: bool = False


def in_words(said: Said, *, scale: int) -> str:
    """The stored row as the annotator saw it: “B slightly better · 12 words · flagged: personal data”."""
    verdict = verdict_in_words(
        verdict=said.verdict,
        strength=said.strength,
        swapped=said.swapped,
        skip_reason=said.skip_reason,
        scale=scale,
    )
    parts = [verdict]
    if words := len(said.text.split()):
        parts.append(ngettext("%(n)s word", "%(n)s words", words) % {"n": words})
    if said.tags:
        parts.append(ngettext("%(n)s reason", "%(n)s reasons", len(said.tags)) % {"n": len(said.tags)})
    if said.spans:
        parts.append(ngettext("%(n)s highlight", "%(n)s highlights", said.spans) % {"n": said.spans})
    if said.has_edit:
        parts.append(_("answer edited"))
    if said.flags:
        flags = ", ".join(_inside(str(Flag(flag).label)) for flag in said.flags)
        parts.append(_("flagged: %(flags)s") % {"flags": flags})
    return " · ".join(parts)


def verdict_in_words(*, verdict: str, strength: int | None, swapped: bool, skip_reason: str, scale: int) -> str:
    """“B slightly better”, “About the same”, “Both bad”, “Skipped: I do not read this language”."""
    if verdict == Verdict.SKIP:
        return _("Skipped: %(reason)s") % {"reason": SkipReason(skip_reason).label}
    towards_a = turned(strength, swapped=swapped)
    if not towards_a:
        return str(Verdict(verdict).label)
    side = "A" if towards_a > 0 else "B"
    # A scale of two points knows better only, not how much.
    how = 2 if scale == 2 else abs(towards_a)
    if how == 1:
        return _("%(side)s slightly better") % {"side": side}
    return (_("%(side)s much better") if how == 3 else _("%(side)s better")) % {"side": side}


def _inside(label: str) -> str:
    """A label inside of a sentence: small, in languages that write it so there."""
    small = pgettext("are labels written with a small letter inside of a sentence: yes or no", "yes") == "yes"
    return label[0].lower() + label[1:] if small else label
