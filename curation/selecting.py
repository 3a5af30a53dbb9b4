"""Criteria -> pairs: typed conditions over an allow-list of fields and operators, as SQL with parameters.

Nothing outside `FIELDS` and `OPERATORS` reaches the database: a field is looked up, never put together from what was
typed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from curation.haste import HASTY

Value = float | str | bool
FieldKind = Literal["number", "text", "list", "choice", "flag"]


@dataclass(frozen=True)
class Field:
    """What can be asked of a pair.

    `sql` reads p (pair), q (prompt), v (its tallies: null without judgements), l.last, the last judgement to count,
    l.stood, judgements that are not current any more and count all the same, and l.missed, those that do not count.
    """

    kind: FieldKind
    sql: str
    help: str
    choices: tuple[str, ...] = ()
    # It may say something else tomorrow, and nothing tells what it said today: a release keeps what it read of it.
    fades: bool = False


# Judgements that say something about the pair, by what they say. Skips say nothing.
_N = "coalesce(v.n_first + v.n_second + v.n_tie + v.n_both_bad, 0)"
_SQUARES = "v.n_first * v.n_first + v.n_second * v.n_second + v.n_tie * v.n_tie + v.n_both_bad * v.n_both_bad"

FIELDS: dict[str, Field] = {
    "agreement": Field(
        "number",
        f"CASE WHEN {_N} >= 2 THEN ({_SQUARES} - {_N})::float8 / ({_N} * ({_N} - 1)) END",
        "item agreement: the share of pairs of judgements that agree, 0 to 1; undefined below two judgements",
    ),
    "share": Field(
        "number",
        f"CASE WHEN {_N} >= 1 THEN greatest(v.n_first, v.n_second, v.n_tie, v.n_both_bad)::float8 / {_N} END",
        "the share of the most frequent verdict, 0 to 1; undefined without a judgement",
    ),
    "judgements": Field("number", _N, "how many judgements count, skips left out"),
    "skips": Field("number", "coalesce(v.n_skip, 0)", "how many annotators skipped it"),
    "strength": Field(
        "number",
        "CASE WHEN v.n_strength >= 1 THEN abs(v.strength_sum::float8 / v.n_strength) END",
        "the mean strength without its sign, 0 to 3; undefined where no strength is known",
    ),
    "id": Field("text", "p.external_id", "the identifier in the file it came with"),
    "pair": Field("number", "p.id", "the pair's number here"),
    "source": Field("text", "p.source", "where it came from"),
    "language": Field("text", "q.language", "the prompt's language"),
    "tag": Field("list", "p.tags || q.tags", "a tag of the pair or of its prompt"),
    "split": Field("text", "p.split", "the split of the file it came with"),
    "label": Field(
        "choice",
        "coalesce(nullif(p.label, ''), 'none')",
        "what its source said: first, second, tie or none",
        choices=("first", "second", "tie", "none"),
    ),
    "marks": Field(
        "list",
        "p.marks",
        "empty or identical, where the check let it through on request; toy, where a toy model wrote a text",
        choices=("empty", "identical", "toy"),
    ),
    "flag": Field(
        "list",
        "ARRAY(SELECT unnest(fj.flags) FROM assignment fa JOIN judgement fj ON fj.assignment_id = fa.id"
        " WHERE fa.pair_id = p.id AND (fj.is_current OR fj.id = ANY(l.stood))"
        " AND fj.id <= l.last AND NOT fj.id <@ l.missed)",
        "what somebody flagged it as: harmful, personal, identity or other",
        choices=("harmful", "personal", "identity", "other"),
    ),
    "hasty": Field(
        "number",
        f"(SELECT count(*) FROM assignment ha JOIN judgement j ON j.assignment_id = ha.id"
        f" AND (j.is_current OR j.id = ANY(l.stood))"
        f" JOIN candidate hf ON hf.id = p.first_id JOIN candidate hs ON hs.id = p.second_id"
        f" WHERE ha.pair_id = p.id AND j.id <= l.last AND NOT j.id <@ l.missed AND j.verdict <> 'skip' AND ({HASTY}))",
        "how many judgements were given faster than one can read, or with a candidate not seen whole",
    ),
    "gold": Field("flag", "p.is_gold", "whether it is a gold pair: yes or no", fades=True),
    "excluded": Field("flag", "p.excluded_at IS NOT NULL", "whether it was taken out of play: yes or no", fades=True),
}


# What the facts of a pair say (curation/tabulating.py): as they were when they were last gathered.
def _fact(column: str) -> str:
    return f"(SELECT f.{column} FROM pair_facts f WHERE f.pair_id = p.id)"


_NUMBERS = {
    "difficulty": ("difficulty", "the percentile of the held-out loss for the board's model, 0 easy to 1 hard"),
    "weighted_agreement": ("agreement", "the share of the leading answer, weighted by reliability and shrunk, 0 to 1"),
    "margin": ("margin", "the likelihood margin of the board's model, in nats"),
    "reward": ("reward_margin", "the margin of the reward model that measured last, in its own unit"),
    "dissents": ("dissents", "how many judgements differ from the most frequent verdict"),
    "relevant": ("n_relevant", "how many principles favour one of the two"),
    "arbitrary": ("arbitrary", "how many judgements go against principles that agree"),
    "length_difference": ("length_difference", "characters of the preferred candidate minus those of the other"),
}
_CHOICES = {
    "discretion": (
        "discretion",
        ("consensus", "conflict", "indifference", "unknown"),
        "what the principles leave open",
    ),
    "marked": ("marked", ("plain", "flagged", "gold", "duplicate"), "flagged, gold or a duplicate, in this order"),
}
_READINGS = ("none", "ambiguous", "hard", "mislabelled")
_FACTS = {name: Field("number", _fact(column), f"facts: {help}") for name, (column, help) in _NUMBERS.items()}
_FACTS |= {
    name: Field("choice", f"coalesce(nullif({_fact(column)}, ''), 'unknown')", f"facts: {help}", choices=choices)
    for name, (column, choices, help) in _CHOICES.items()
}
_FACTS |= {
    "reading": Field(
        "choice",
        f"(ARRAY{list(_READINGS)})[coalesce({_fact('b_reading')}, 0) + 1]",
        "facts: the board's reading: ambiguous, hard, mislabelled or none",
        choices=_READINGS,
    ),
    "first_tag": Field("text", f"coalesce({_fact('tag')}, '')", "facts: the first tag"),
    "annotator": Field(
        "list",
        f"coalesce({_fact('annotators')}, '{{}}')::text[]",
        "facts: the number of an annotator who judged it",
    ),
    "conflict": Field(
        "list",
        "ARRAY(SELECT least(a, b) || '-' || greatest(a, b) FROM pair_facts f, unnest(f.favour_first) a,"
        " unnest(f.favour_second) b WHERE f.pair_id = p.id)",
        "facts: the numbers of two principles that ask for different candidates, the smaller first: 3-5",
    ),
}
_FACTS |= {
    f"known_{key}": Field("flag", f"({_fact(column)} IS NOT NULL)", f"facts: whether {key} is known: yes or no")
    for key, column in {
        "difficulty": "difficulty",
        "agreement": "agreement",
        "strength": "strength",
        "length": "length_difference",
        "margin": "margin",
        "reward": "reward_margin",
        "dissents": "dissents",
        "relevant": "n_relevant",
        "arbitrary": "arbitrary",
    }.items()
}
FIELDS |= {name: replace(one, fades=True) for name, one in _FACTS.items()}

# One of several values, with | between them; and none of them.
ONE_OF, NONE_OF = "|=", "!|="
# And any key of the pair's meta, compared as text: meta.turn=1
META = re.compile(r"meta\.([A-Za-z0-9_-]{1,60})")

_COMPARE = {"=": "=", "!=": "<>", ">=": ">=", "<=": "<=", ">": ">", "<": "<"}
OPERATORS: dict[FieldKind, tuple[str, ...]] = {
    "number": ("=", "!=", ">=", "<=", ">", "<"),
    "text": ("=", "!=", "^=", "$=", "~=", ONE_OF, NONE_OF),
    "list": ("=", "!="),
    "choice": ("=", "!=", ONE_OF, NONE_OF),
    "flag": ("=", "!="),
}
_SHAPE = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(>=|<=|!\|=|\|=|!=|\^=|\$=|~=|=|>|<)(.*)", re.DOTALL)
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
LONGEST_VALUE = 300


@dataclass(frozen=True)
class Criterion:
    """One condition. Made by `parse` or `from_json`, which check it; two that mean the same are equal."""

    field: str
    operator: str
    value: Value

    @property
    def text(self) -> str:
        """As it is typed: agreement>=0.66. Read again it is the same, to the last bit."""
        value = self.value
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        else:
            shown = _exact(value) if isinstance(value, float) else value
        return f"{self.field}{self.operator}{shown}"

    def as_json(self) -> dict[str, Any]:
        return {"field": self.field, "operator": self.operator, "value": self.value}

    def sql(self, *, of: str = "") -> tuple[str, list[Any]]:
        """A condition that is true or false, never null: what is undefined does not pass.

        `of`: the expression that stands for the field, where it is not looked up.
        """
        what = _field(self.field)
        expression, params = (of or what.sql, []) if what else _meta(self.field)
        kind = what.kind if what else "text"
        if kind == "list":
            return f"{'NOT ' if self.operator == '!=' else ''}(%s = ANY({expression}))", [self.value, *params]
        if self.operator in (ONE_OF, NONE_OF):
            found = f"coalesce(({expression}) = ANY(%s::text[]), false)"
            return f"{'NOT ' if self.operator == NONE_OF else ''}{found}", [*params, str(self.value).split("|")]
        if self.operator == "^=":
            return f"coalesce(starts_with({expression}, %s), false)", [*params, self.value]
        if self.operator == "$=":
            return f"coalesce(right({expression}, length(%s)) = %s, false)", [*params, self.value, self.value]
        if self.operator == "~=":
            return f"coalesce(strpos({expression}, %s) > 0, false)", [*params, self.value]
        return f"coalesce(({expression}) {_COMPARE[self.operator]} %s, false)", [*params, self.value]


def _exact(number: float) -> str:
    """As short as can be. Where a bin begins may be a number of seventeen digits, and pairs lie on it."""
    short = f"{number:.15g}"
    return short if float(short) == number else repr(number)


def _field(name: str) -> Field | None:
    return FIELDS.get(name)


def _meta(name: str) -> tuple[str, list[Any]]:
    return "(p.meta ->> %s)", [name.removeprefix("meta.")]


def parse(text: str) -> Criterion:
    """Read one criterion as it is typed: field, operator, value, for example agreement>=0.66 or tag=code.

    Raises:
        Refused: with the part that is wrong and what would be right.
    """
    found = _SHAPE.fullmatch(text)
    if not found:
        raise Refused(
            f"{_shown(text)} is not a criterion. Write field, operator and value, "
            "for example agreement>=0.66 or tag=code."
        )
    return _checked(found[1], found[2], found[3].strip())


def parse_all(texts: Sequence[str]) -> list[Criterion]:
    return [parse(text) for text in texts]


def from_json(stored: Any) -> list[Criterion]:
    """Read the criteria of a saved selection.

    Raises:
        Refused: as `parse`; also when `stored` is not a list of {"field", "operator", "value"}.
    """
    if not isinstance(stored, list) or not all(
        isinstance(one, dict) and {*one} == {"field", "operator", "value"} for one in stored
    ):
        raise Refused('Criteria are a list of {"field", "operator", "value"}.')
    criteria = []
    for one in stored:
        value = one["value"]
        shown = ("yes" if value else "no") if isinstance(value, bool) else str(value)
        criteria.append(_checked(str(one["field"]), str(one["operator"]), shown))
    return criteria


def _checked(name: str, operator: str, value: str) -> Criterion:
    what = _field(name)
    if what is None and not META.fullmatch(name):
        raise Refused(
            f"Unknown field {_shown(name)}. Known are {', '.join(FIELDS)}, and meta.KEY for a key of the pair's meta."
        )
    kind = what.kind if what else "text"
    if operator not in OPERATORS[kind]:
        raise Refused(
            f"{name} cannot be compared with {_shown(operator)}. Known for it are {' '.join(OPERATORS[kind])}."
        )
    if len(value) > LONGEST_VALUE or "\0" in value:
        raise Refused(
            f"The value for {name} is too long or holds a NUL character. At most {LONGEST_VALUE} characters are taken."
        )
    if kind == "number":
        return Criterion(name, operator, _number(name, value))
    if kind == "flag":
        if value.lower() not in _FLAGS:
            raise Refused(f"{name} is yes or no, not {_shown(value)}.")
        # excluded!=yes and excluded=no are the same; one form of it is kept.
        return Criterion(name, "=", _FLAGS[value.lower()] == (operator == "="))
    several = value.split("|") if operator in (ONE_OF, NONE_OF) else [value]
    if what and what.choices and not {*several} <= {*what.choices}:
        raise Refused(f"{name} is one of {', '.join(what.choices)}, not {_shown(value)}.")
    return Criterion(name, operator, value)


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f"{name} is compared with a number, not {_shown(value)}.")
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


# ---- SQL -----------------------------------------------------------------------------------------------------------

NO_END = 2**63 - 1
# An int8multirange in which there is no number.
NOTHING = "{}"


@dataclass(frozen=True)
class Missed:
    """Numbers up to the last one heard that the release all the same did not see, as int8multiranges in text.

    A number is drawn before its row is committed: who was still saving while the release took its snapshot may have a
    lower one than somebody who was done.
    """

    pair: str = NOTHING
    judgement: str = NOTHING
    ranking: str = NOTHING
    rationale: str = NOTHING
    reaction: str = NOTHING
    ruling: str = NOTHING


NONE_MISSED = Missed()


@dataclass(frozen=True)
class Heard:
    """How far a release had heard: the last number of each kind that it may look at; None for all that there is.

    `pair`: pairs. `judgement`: judgements of those who count, whatever became of them; of everybody where flags or
    haste are looked at. `undone`: events that took one back. `ranking`: rankings. `rationale`: reasons, and what is
    highlighted with them. `reaction`: what people made of machines' reasons.

    `stood`: judgements that were current then and are not now; `hearing.as_then` finds them. `missed`: what has a
    lower number than the last and came later all the same.
    """

    pair: int | None = None
    judgement: int | None = None
    undone: int | None = None
    ranking: int | None = None
    rationale: int | None = None
    reaction: int | None = None
    stood: tuple[int, ...] = ()
    missed: Missed = NONE_MISSED

    def as_json(self) -> dict[str, int]:
        numbers = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("stood", "missed")}
        return {name: number for name, number in numbers.items() if number is not None}


ALL_THERE_IS = Heard()


def end(number: int | None) -> int:
    """The last number that counts, for a comparison."""
    return NO_END if number is None else number


@dataclass(frozen=True)
class Voices:
    """Whose current judgements count.

    `kind`: "person", "judge" or "all". `prefixes`: only annotators whose name or external identifier begins with one of
    them; empty for all. `through`: only judgements up to this number; None for all. `heard`: how much counts of what
    stands beside them.
    """

    kind: Literal["person", "judge", "all"] = "person"
    prefixes: tuple[str, ...] = ()
    through: int | None = None
    heard: Heard = ALL_THERE_IS

    def sql(self, *, is_without_too: bool = False) -> tuple[str, list[Any]]:
        """A condition over j (judgement) and n (annotator).

        `is_without_too`: what stands without a judgement counts too: votes that were imported or that a judge gave.
        """
        is_current = "j.is_current"
        params: list[Any] = []
        if self.heard.stood:
            is_current = "(j.is_current OR j.id = ANY(%s::bigint[]))"
            params.append(list(self.heard.stood))
        parts: list[str] = [f"coalesce({is_current}, true)" if is_without_too else is_current]
        if self.kind != "all":
            parts.append("n.kind = %s")
            params.append(self.kind)
        if self.prefixes:
            each = "starts_with(n.name, %s) OR starts_with(n.external_id, %s)"
            parts.append("(" + " OR ".join([each] * len(self.prefixes)) + ")")
            params += [prefix for prefix in self.prefixes for _ in range(2)]
        if self.through is not None:
            parts.append("coalesce(j.id, 0) <= %s" if is_without_too else "j.id <= %s")
            params.append(self.through)
        if self.heard.missed.judgement != NOTHING:
            number = "coalesce(j.id, 0)" if is_without_too else "j.id"
            parts.append(f"NOT {number} <@ %s::int8multirange")
            params.append(self.heard.missed.judgement)
        return " AND ".join(parts), params


def tallies_sql(*, project: int, voices: Voices) -> tuple[str, list[Any]]:
    """One row per judged pair: how often each verdict was given, and the strengths that are known."""
    condition, params = voices.sql()
    return (
        f"""
        SELECT a.pair_id,
               count(*) FILTER (WHERE j.verdict = 'prefer' AND j.strength > 0) AS n_first,
               count(*) FILTER (WHERE j.verdict = 'prefer' AND j.strength < 0) AS n_second,
               count(*) FILTER (WHERE j.verdict = 'tie') AS n_tie,
               count(*) FILTER (WHERE j.verdict = 'both_bad') AS n_both_bad,
               count(*) FILTER (WHERE j.verdict = 'skip') AS n_skip,
               count(j.strength) FILTER (WHERE j.strength_known) AS n_strength,
               coalesce(sum(j.strength) FILTER (WHERE j.strength_known), 0) AS strength_sum
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {condition}
        GROUP BY a.pair_id
        """,
        [project, *params],
    )


def pairs_sql(*, project: int, voices: Voices) -> tuple[str, list[Any]]:
    """FROM and WHERE over all pairs of a project, with p, q, v and l as the fields read them."""
    tallies, params = tallies_sql(project=project, voices=voices)
    # Flags and haste may be of people who do not count: the last judgement of a release by judges alone says nothing
    # about theirs. Releases from before they said how far they had heard have no better bound.
    last = voices.heard.judgement
    if last is None and voices.kind != "judge":
        last = voices.through
    within, until = pairs_heard(voices.heard, of="p.id")
    return (
        f"FROM pair p JOIN prompt q ON q.id = p.prompt_id LEFT JOIN ({tallies}) v ON v.pair_id = p.id"
        f" CROSS JOIN (SELECT %s::bigint AS last, %s::bigint[] AS stood, %s::int8multirange AS missed) l"
        f" WHERE p.project_id = %s{within}",
        [*params, end(last), list(voices.heard.stood), voices.heard.missed.judgement, project, *until],
    )


def pairs_heard(heard: Heard, *, of: str) -> tuple[str, list[Any]]:
    """A further condition: only pairs that the release had heard of. `of`: the expression with a pair's number."""
    if heard.pair is None:
        return "", []
    if heard.missed.pair == NOTHING:
        return f" AND {of} <= %s", [heard.pair]
    return f" AND {of} <= %s AND NOT {of} <@ %s::int8multirange", [heard.pair, heard.missed.pair]


def names_excluded(criteria: Sequence[Criterion]) -> bool:
    """Whether the criteria themselves speak of pairs that were taken out of play; otherwise these stay out."""
    return any(one.field == "excluded" for one in criteria)


def in_play(criteria: Sequence[Criterion]) -> list[Criterion]:
    """`criteria`, led by excluded=no where they do not speak of it."""
    return list(criteria) if names_excluded(criteria) else [Criterion("excluded", "=", False), *criteria]


def chosen_sql(*, project: int, voices: Voices, where: Sequence[Criterion]) -> tuple[str, list[Any]]:
    """FROM and WHERE as `pairs_sql` gives them, over the pairs in play that meet all criteria."""
    source, params = pairs_sql(project=project, voices=voices)
    for one in in_play(where):
        condition, values = one.sql()
        source += f" AND ({condition})"
        params += values
    return source, params


# ---- counting what each step removes -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What one step removed, and how many pairs were left after it."""

    name: str
    removed: int
    left: int


@dataclass
class Sieve:
    """Removes pairs step by step; each pair is counted at the first step that removes it.

    `left` has the shape (n_pairs,), and so has `gone_at`: the place in `steps` of the step that removed the pair, -1
    for those that are left.
    """

    left: NDArray[np.bool_]
    steps: list[Step] = field(default_factory=list)
    gone_at: NDArray[np.int16] = field(init=False)

    def __post_init__(self) -> None:
        self.gone_at = np.full(len(self.left), -1, dtype=np.int16)

    def keep(self, passing: NDArray[np.bool_], *, name: str) -> None:
        """Keep those that pass, and remember under `name` how many do not, none included."""
        before = int(self.left.sum())
        self.gone_at[self.left & ~passing] = len(self.steps)
        self.left = self.left & passing
        after = int(self.left.sum())
        self.steps.append(Step(name=name, removed=before - after, left=after))
