"""What is asked of a release -> a plan: everything that decides its bytes besides the judgements and the code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from annotation.errors import Refused
from annotation.models import Project
from curation.criteria import Criterion, in_play
from curation.cutting import Cut, cuts_of
from curation.deciding import CHOOSING, RULES, TIES
from curation.export.layouts import LAYOUTS, Layout, schema_of, with_probability
from curation.export.records import Rows
from curation.metrics import METRICS
from curation.subsetting import NGRAMS
from curation.voices import ALL_THERE_IS, Heard, Voices

# What stands in an address where a release's name would.
RESERVED = ("new",)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,59}|")
ANNOTATORS: dict[str, Voices] = {
    "people": Voices(kind="person"),
    "judges": Voices(kind="judge"),
    "all": Voices(kind="all"),
}
DIFFICULTY = "held_out_loss"
# By which pairs can be cut: what `measure difficulty` stores of each and is higher where it is harder.
HARDER = {name: METRICS[name].title for name in (DIFFICULTY, "learned_step")}
# With a larger share of pairs that were flagged as harmful a release needs a reason: few such rows move a model.
MOST_HARMFUL = 0.005


class Impossible(Refused):
    """What was asked for cannot be. `option` is the name of what to change, as `plan` takes it."""

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(sentence)
        self.option = option


@dataclass(frozen=True)
class Plan:
    """Everything that decides the bytes of a release, besides the judgements and the code."""

    project: Project
    version: str
    where: tuple[Criterion, ...]
    rule: str
    layout: Layout
    annotators: str
    licence: str = ""
    limits: str = ""
    # What becomes of a pair that the rule calls a tie; and of which pairs the rule must be how sure.
    ties: str = "drop"
    least_probability: float = 0.0
    # The share of prompts whose pairs go into the split test, and what it is drawn by.
    test_share: float = 0.0
    seed: int = 0
    # After the rule: pairs nearly the same as another one from this similarity on go; 0 keeps them all.
    near_duplicates: float = 0.0
    # At most so many pairs with a tag, drawn by `seed`.
    quotas: tuple[tuple[str, int], ...] = ()
    # At most so many pairs, those that say the most by these vectors, as that run stored them; 0 for all.
    subset: int = 0
    embedding: str = NGRAMS
    embedding_run: int | None = None
    # Shares of the easiest pairs, each a config of its own beside the whole, what their difficulty is, and for which
    # model, where a cut names none.
    cuts: tuple[Cut, ...] = ()
    difficulty: str = DIFFICULTY
    difficulty_model: str = ""
    # The share of the pairs that may be flagged as harmful; why more may be, empty where they may not; and who answers
    # for the reason, or for another limit than the usual.
    most_harmful: float = MOST_HARMFUL
    sign_off: str = ""
    signed_by: str = ""
    # Annotators are told by their names. Otherwise by pseudonyms, which this salt makes the release's own.
    names: bool = False
    salt: str = field(default="", repr=False)
    # Only judgements up to this one, and flags of judgements up to that one; None for all that there are.
    through: int | None = None
    flags_through: int | None = None
    # Only rulings up to this number; None for all.
    rulings_through: int | None = None
    # How far what stands beside the judgements may have come.
    heard: Heard = ALL_THERE_IS
    # What fields that change said then; None: what they say now.
    preserved: pa.Table | None = field(default=None, repr=False, compare=False)
    # How many pairs were out of play then; None: those that are now.
    out_of_play: int | None = None

    @property
    def schema(self) -> pa.Schema:
        return schema_of(self.layout.name, self.rule)

    def build(self, rows: Rows) -> pa.RecordBatch:
        """Checked rows as a batch of `schema`."""
        built = self.layout.build(rows)
        return with_probability(built, rows, schema=self.schema) if self.schema != self.layout.schema else built

    @property
    def criteria(self) -> list[Criterion]:
        return in_play(self.where)

    @property
    def voices(self) -> Voices:
        return Voices(kind=ANNOTATORS[self.annotators].kind, through=self.through, heard=self.heard)


def plan(
    *,
    project: Project,
    version: str,
    where: Sequence[Criterion] = (),
    rule: str = "majority",
    layout: str = "trl_dpo",
    annotators: str = "people",
    ties: str = "",
    least_probability: float = 0.0,
    licence: str = "",
    limits: str = "",
    test_share: float = 0.0,
    seed: int = 0,
    names: bool = False,
    near_duplicates: float = 0.0,
    quotas: Mapping[str, int] | None = None,
    subset: int = 0,
    embedding: str = NGRAMS,
    cuts: Sequence[float | str | Cut] = (),
    difficulty: str = DIFFICULTY,
    difficulty_model: str = "",
    most_harmful: float = MOST_HARMFUL,
    sign_off: str = "",
) -> Plan:
    """Check what was asked for.

    Raises:
        Impossible: a name, rule, layout or licence is not known or not possible.
    """
    if not NAME.fullmatch(version):
        raise Impossible(
            "version",
            f"{version!r} cannot name a release: at most 60 letters, digits, dots, dashes and underscores, "
            "a letter or digit first.",
        )
    if version in RESERVED:
        raise Impossible(
            "version", f"{version!r} cannot name a release: it is part of an address. Choose another name."
        )
    if rule not in RULES:
        raise Impossible("rule", f"Unknown rule {rule!r}. Known are {', '.join(RULES)}.")
    if layout not in LAYOUTS:
        raise Impossible("layout", f"Unknown layout {layout!r}. Known are {', '.join(LAYOUTS)}.")
    if LAYOUTS[layout].chooses and rule not in CHOOSING:
        raise Impossible(
            "layout",
            f"The layout {layout} has a chosen answer, and the rule {rule} chooses none. "
            f"Take one of the rules {', '.join(CHOOSING)}, or another layout.",
        )
    # What says nothing of a chosen answer keeps ties; where one is chosen, a tie has none.
    ties = ties or ("drop" if rule in CHOOSING else "keep")
    _check_ties(ties, LAYOUTS[layout])
    if not 0 <= least_probability <= 1:
        raise Impossible("least_probability", f"A probability is 0 to 1, not {least_probability:g}.")
    if least_probability and rule != "dawid_skene":
        raise Impossible(
            "least_probability",
            f"The rule {rule} gives no probability. Take the rule dawid_skene, or no least probability.",
        )
    if not 0 <= test_share <= 0.5:
        raise Impossible("test_share", f"The share of the split test is 0 to 0.5, not {test_share:g}.")
    if not 0 <= near_duplicates <= 1:
        raise Impossible(
            "near_duplicates",
            f"Near duplicates are told by a similarity of 0 to 1, not {near_duplicates:g}. 0.8 is usual.",
        )
    if any(most < 0 for most in (quotas or {}).values()):
        raise Impossible("quotas", "A quota is at least 0 pairs.")
    if odd := [tag for tag in quotas or {} if not _can_be_stored(tag)]:
        raise Impossible("quotas", f"No tag can be called {odd[0]!a}: the database keeps no such character.")
    if subset < 0:
        raise Impossible("subset", f"A subset has at least 1 pair, not {subset}; 0 keeps all.")
    try:
        found_cuts = cuts_of(cuts)
    except Refused as error:
        raise Impossible("cuts", str(error)) from error
    if cuts and LAYOUTS[layout].by_prompt:
        raise Impossible(
            "cuts", f"The layout {layout} puts a prompt's pairs into one row, so pairs cannot be cut by difficulty."
        )
    if LAYOUTS[layout].tells_annotators and not names and any(one.field == "annotator" for one in where):
        raise Impossible(
            "layout",
            f"The layout {layout} tells annotators by pseudonyms that no other release has, and a criterion on "
            "annotator would say whose one of them is. Take a layout that tells no annotators, leave the criterion "
            "out, or tell names.",
        )
    if not 0 <= most_harmful <= 1:
        raise Impossible(
            "most_harmful", f"The share that may be flagged as harmful is 0 to 1, not {most_harmful:g}. 0.005 is usual."
        )
    if difficulty not in HARDER:
        raise Impossible("difficulty", f"Pairs are not cut by {difficulty!r}. Known are {', '.join(HARDER)}.")
    if annotators not in ANNOTATORS:
        raise Impossible("annotators", f"Unknown annotators {annotators!r}. Known are {', '.join(ANNOTATORS)}.")
    if not LICENCE.fullmatch(licence):
        raise Impossible("licence", f"{licence!r} is no licence identifier. Write one as cc-by-4.0 or apache-2.0.")
    return Plan(
        project=project,
        version=version,
        where=tuple(where),
        rule=rule,
        layout=LAYOUTS[layout],
        annotators=annotators,
        ties=ties,
        least_probability=float(least_probability),
        licence=licence,
        limits=limits,
        test_share=float(test_share),
        seed=int(seed),
        names=names,
        near_duplicates=float(near_duplicates),
        quotas=tuple(sorted((quotas or {}).items())),
        subset=int(subset),
        embedding=embedding or NGRAMS,
        cuts=found_cuts,
        difficulty=difficulty,
        difficulty_model=difficulty_model,
        most_harmful=float(most_harmful),
        sign_off=" ".join(sign_off.split()),
    )


def _check_ties(ties: str, layout: Layout) -> None:
    if ties not in TIES:
        raise Impossible("ties", f"Unknown for ties is {ties!r}. Known are {', '.join(TIES)}.")
    if ties == "keep" and layout.chooses:
        able = [one.name for one in LAYOUTS.values() if not one.chooses]
        raise Impossible(
            "ties",
            f"The layout {layout.name} has a chosen answer in every row, so it cannot keep ties. "
            f"Drop them, or take one of the layouts {', '.join(able)}.",
        )
    if ties == "both" and not layout.reverses:
        able = [one.name for one in LAYOUTS.values() if one.reverses]
        raise Impossible(
            "ties",
            f"The layout {layout.name} cannot hold a tie as two rows, one in each order. "
            f"Only {' and '.join(able)} can.",
        )


def _can_be_stored(text: str) -> bool:
    """Whether a text holds neither NUL nor half of a character."""
    return not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text)
