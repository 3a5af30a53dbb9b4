"""What is typed -> criteria: conditions over an allow-list of fields and operators, as SQL with parameters.

Nothing outside `FIELDS` and `OPERATORS` reaches the database: a field is looked up, never put together from what was
typed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from annotation.errors import Refused
from curation.dimensions import MARKED, marked_sql
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
# In which column of the facts the numbers lie that criteria read.
COLUMN_OF = {name: column for name, (column, _) in _NUMBERS.items()}
_CHOICES = {
    "discretion": (
        "discretion",
        ("consensus", "conflict", "indifference", "unknown"),
        "what the principles leave open",
    ),
}
_READINGS = ("none", "ambiguous", "hard", "mislabelled")
_FACTS = {name: Field("number", _fact(column), f"facts: {help}") for name, (column, help) in _NUMBERS.items()}
_FACTS |= {
    name: Field("choice", f"coalesce(nullif({_fact(column)}, ''), 'unknown')", f"facts: {help}", choices=choices)
    for name, (column, choices, help) in _CHOICES.items()
}
_OF_FACTS = {name: _fact(name) for name in ("flags", "is_gold", "duplicates")}
_FACTS |= {
    # One name for all that a pair is marked as.
    "marked_as": Field(
        "choice",
        f"coalesce({marked_sql(**_OF_FACTS)}, 'unknown')",
        "facts: what the board marks it as, all of it: gold only, flagged and gold, plain",
        choices=(*MARKED.values, "unknown"),
    ),
    # By the first alone: selections and releases from before `marked_as` go by it, and go on to mean the same pairs.
    "marked": Field(
        "choice",
        "coalesce(CASE WHEN {flags} > 0 THEN 'flagged' WHEN {is_gold} THEN 'gold' WHEN {duplicates} > 0"
        " THEN 'duplicate' WHEN {flags} = 0 THEN 'plain' END, 'unknown')".format(**_OF_FACTS),
        "facts: the first of flagged, gold and duplicate that it is, or plain; see marked_as",
        choices=("plain", "flagged", "gold", "duplicate", "unknown"),
    ),
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

# What models measured and facts show; and which fields read it.
MEASURES = ("difficulty", "margin", "reward")
_OF_MEASURE = {name: key for key in MEASURES for name in (key, f"known_{key}")}

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
# Of several values in one criterion, with what divides them: all but some of the board's categories are many.
LONGEST_LIST = 12_000


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
    several = value.split("|") if operator in (ONE_OF, NONE_OF) else [value]
    if max(map(len, several)) > LONGEST_VALUE or len(value) > LONGEST_LIST or "\0" in value:
        raise Refused(
            f"The value for {name} is too long or holds a NUL character. At most {LONGEST_VALUE} characters are taken"
            f"{f', and {LONGEST_LIST:,} for all values together' if len(several) > 1 else ''}."
        )
    if kind == "number":
        return Criterion(name, operator, _number(name, value))
    if kind == "flag":
        if value.lower() not in _FLAGS:
            raise Refused(f"{name} is yes or no, not {_shown(value)}.")
        # excluded!=yes and excluded=no are the same; one form of it is kept.
        return Criterion(name, "=", _FLAGS[value.lower()] == (operator == "="))
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


def measures_in(criteria: Sequence[Criterion]) -> list[str]:
    """Which of `MEASURES` the criteria read: whose they are depends on the model that the facts were gathered for."""
    found = {_OF_MEASURE.get(one.field) for one in criteria}
    # The reading "ambiguous" alone goes by people and principles.
    if any(one.field == "reading" and {*str(one.value).split("|")} != {"ambiguous"} for one in criteria):
        found.add("difficulty")
    return [key for key in MEASURES if key in found]


def names_excluded(criteria: Sequence[Criterion]) -> bool:
    """Whether the criteria themselves speak of pairs that were taken out of play; otherwise these stay out."""
    return any(one.field == "excluded" for one in criteria)


def in_play(criteria: Sequence[Criterion]) -> list[Criterion]:
    """`criteria`, led by excluded=no where they do not speak of it."""
    return list(criteria) if names_excluded(criteria) else [Criterion("excluded", "=", False), *criteria]
