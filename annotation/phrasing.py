"""A lead's words -> versions of the templates with which machines are asked: judges, and what explains a verdict. And
versions of the values that system messages are drawn from, which are kept in the same way.

A version is never changed. An edit is the next version, and what a run asked with stays readable for good: a run is
given the version that was newest when it was asked for, by `name-number`, and a judge is named with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Max

from annotation import values
from annotation.errors import Refused
from annotation.generating import storable
from annotation.models import (
    Annotator,
    JudgeTemplate,
    Project,
    Rationale,
    RationaleTemplate,
    Run,
    User,
    ValueTemplate,
)
from annotation.questions import OPTIONS, PLACES, TEMPLATES, Template
from annotation.reasoning import (
    BUILT_IN,
    OPEN_PLACES,
    Wording,
    check_length,
    check_places,
    check_template,
    places_of,
)
from annotation.recording import record

JUDGE, RATIONALE, VALUE = "judge", "rationale", "value"
# What system messages are drawn from where nothing is named.
USUAL_VALUES = "janus"


@dataclass(frozen=True)
class Kind:
    """A kind of template in words. `used` is what names a version, in the singular; `names` how one and many do."""

    title: str
    about: str
    new: str
    what: str
    used: str
    names: tuple[str, str]

    def uses(self, n: int) -> str:
        """`2 judges are named with it.`"""
        if not n:
            return "Nothing was made with it yet."
        return f"{self.count(n)} {self.names[n != 1]} it."

    def count(self, n: int) -> str:
        return f"{n:,} {self.used}{'' if n == 1 else 's'}"


KINDS = {
    JUDGE: Kind(
        "What judges are asked",
        "A judge is a model with a version of a template.",
        "question",
        "template",
        "judge",
        ("is named with", "are named with"),
    ),
    RATIONALE: Kind(
        "How reasons are asked for",
        "A reason names the version that it was asked for with.",
        "request",
        "rationale template",
        "reason",
        ("was written with", "were written with"),
    ),
    VALUE: Kind(
        "What system messages ask for",
        "The strategy “System messages” draws one value of each dimension for every candidate.",
        "list of values",
        "list of values",
        "run",
        ("draws from", "draw from"),
    ),
}
# What is written in a template of each kind, and what each part is called.
PARTS: dict[str, dict[str, str]] = {
    JUDGE: {
        "system": "System message, with a principle",
        "user": "Question, with a principle",
        "system_overall": "System message, overall",
        "user_overall": "Question, overall",
    },
    RATIONALE: {"text": "Request"},
    VALUE: {"text": "Values"},
}
Row = JudgeTemplate | RationaleTemplate | ValueTemplate
MODELS: dict[str, type[Row]] = {JUDGE: JudgeTemplate, RATIONALE: RationaleTemplate, VALUE: ValueTemplate}


@dataclass(frozen=True)
class Version:
    """One version of a template: built in, or a project's own."""

    kind: str
    name: str
    number: int
    parts: Mapping[str, str]
    is_built_in: bool = False
    created_by: User | None = None
    created_at: datetime | None = None

    @property
    def label(self) -> str:
        """How runs, judges and rationales name it."""
        return f"{self.name}-{self.number}"

    @property
    def titled(self) -> list[tuple[str, str]]:
        """Its parts as (title, text)."""
        return [(title, self.parts[part]) for part, title in PARTS[self.kind].items()]

    @property
    def is_open(self) -> bool:
        """Of a rationale: it asks for the reasons without giving the verdict away."""
        return self.kind == RATIONALE and "chosen" not in places_of(self.parts["text"])

    @property
    def shares_candidates(self) -> bool:
        """Of a judge: its principle stands last, so that both candidates are read once for all principles."""
        return self.kind == JUDGE and as_template(self).shares_candidates

    @property
    def does(self) -> str:
        """What it does, in words for a list."""
        if self.kind == VALUE:
            hierarchy = values.read(self.parts["text"])
            return f"{values.sets_of(hierarchy):,} sets of {len(hierarchy)} values: {', '.join(hierarchy)}"
        if self.kind == RATIONALE:
            thinks = "Thinks first, without the verdict; what needed it is marked as hinted"
            return thinks if self.is_open else "Is told the verdict and explains it"
        if self.shares_candidates:
            return "Principle after the candidates: they are read once for all principles"
        return "Principle before the candidates"

    @property
    def title(self) -> str:
        """How a choice of templates calls it."""
        if self.is_built_in and self.kind == JUDGE:
            return TEMPLATES[self.name].title
        return f"{self.name}, version {self.number}"


def as_template(version: Version) -> Template:
    return Template(version=version.label, title=f"{version.name}, version {version.number}", **version.parts)


# ---- reading ---------------------------------------------------------------------------------------------------------


def versions_of(*, project: Project, kind: str, name: str = "") -> list[Version]:
    """Every version of a template, the newest first; without a name of all of them, by name."""
    found = [one for one in _built_in(kind) if name in ("", one.name)]
    rows = MODELS[kind].objects.filter(project=project).select_related("created_by")
    for row in rows.filter(name=name) if name else rows:
        parts = {part: getattr(row, part) for part in PARTS[kind]}
        found.append(Version(kind, row.name, row.version, parts, created_by=row.created_by, created_at=row.created_at))
    return sorted(found, key=lambda one: (one.name, -one.number))


def newest_of(*, project: Project, kind: str) -> list[Version]:
    """The newest version of each template: the built-in ones first, in the order in which they are offered."""
    newest: dict[str, Version] = {}
    for one in versions_of(project=project, kind=kind):
        newest.setdefault(one.name, one)
    order = {one.name: place for place, one in enumerate(_built_in(kind))}
    return sorted(newest.values(), key=lambda one: (order.get(one.name, len(order)), one.name))


def _built_in(kind: str) -> list[Version]:
    if kind == JUDGE:
        return [
            Version(JUDGE, name, 1, {part: getattr(one, part) for part in PARTS[JUDGE]}, is_built_in=True)
            for name, one in TEMPLATES.items()
        ]
    texts = BUILT_IN if kind == RATIONALE else values.BUILT_IN
    return [Version(kind, name, 1, {"text": text}, is_built_in=True) for name, text in texts.items()]


def version_of(*, project: Project, kind: str, reference: str) -> Version:
    """The version that `name-number` names, or the newest that `name` has.

    Raises:
        Refused: there is none.
    """
    named = re.fullmatch(r"(.+)-(\d{1,9})", reference)
    name, number = (named[1], int(named[2])) if named else (reference, None)
    for one in versions_of(project=project, kind=kind, name=name) if name else ():
        if number in (None, one.number):
            return one
    known = ", ".join(sorted({one.name for one in versions_of(project=project, kind=kind)}))
    raise Refused(f"There is no {KINDS[kind].what} {reference!r}. Known are: {known}.")


def judge_template(*, project: Project, reference: str) -> Template:
    """What a judge is asked by this template.

    Raises:
        Refused: there is none of that name and number.
    """
    return as_template(version_of(project=project, kind=JUDGE, reference=reference))


def wording_of(*, project: Project, name: str) -> Wording:
    """What asks for a rationale: the newest version of a template, or the one that `name-number` names.

    Raises:
        Refused: there is none.
    """
    found = version_of(project=project, kind=RATIONALE, reference=name)
    return Wording(found.name, found.label, found.parts["text"])


def hierarchy_of(*, project: Project, reference: str) -> tuple[str, values.Hierarchy]:
    """What system messages are drawn from: its label, and its values.

    Raises:
        Refused: there is none of that name and number.
    """
    found = version_of(project=project, kind=VALUE, reference=reference)
    return found.label, values.read(found.parts["text"])


def is_open(label: str, *, project: Project) -> bool:
    """Whether a rationale template, by its name with its version, asks for reasons without giving the verdict away.

    Its texts then call the first candidate A and the second B. False for one that is not known here.
    """
    named = label.rpartition("-")[0]
    return any(one.is_open for one in versions_of(project=project, kind=RATIONALE, name=named) if one.label == label)


def uses_of(*, project: Project, kind: str) -> dict[str, int]:
    """By label, how many judges are named with a version, rationales were written with it, or runs draw from it."""
    if kind == JUDGE:
        judges = Annotator.objects.judges().filter(project=project)
        return dict(judges.values_list("prompt_version").annotate(n=Count("pk")).order_by())
    if kind == VALUE:
        drawing = Run.objects.filter(project=project, kind=Run.Kind.GENERATION, parameters__strategy="janus")
        # Runs from before there were versions drew from the first.
        return Counter(named or f"{USUAL_VALUES}-1" for named in drawing.values_list("parameters__values", flat=True))
    written = Rationale.objects.filter(pair__project=project, source=Rationale.Source.MACHINE)
    return dict(written.values_list("template").annotate(n=Count("pk")).order_by())


# ---- writing ---------------------------------------------------------------------------------------------------------


def publish_template(
    *, project: Project, name: str, text: str, actor: User | None = None, command: str = ""
) -> RationaleTemplate:
    """Write the next version of a project's rationale template. Earlier versions stay; new runs use the newest.

    Raises:
        Refused: the name is no short name, or the template lacks a place or has one that nothing fills.
    """
    row = publish(project=project, kind=RATIONALE, name=name, parts={"text": text}, actor=actor, command=command)
    assert isinstance(row, RationaleTemplate)
    return row


@transaction.atomic
def publish(
    *,
    project: Project,
    kind: str,
    name: str,
    parts: Mapping[str, str],
    is_new: bool = False,
    actor: User | None = None,
    command: str = "",
) -> Row:
    """Write the next version of a template of this kind. Earlier versions stay; new runs use the newest.

    is_new: the name must not be in use yet.

    Raises:
        Refused: the name is no short name or taken, a part lacks a place or has one that nothing fills, or the version
            says what the newest one says.
    """
    _check_name(name)
    if strange := sorted(set(parts) ^ set(PARTS[kind])):
        raise Refused(f"A {kind} template has the parts {', '.join(PARTS[kind])}; {strange[0]} is missing or strange.")
    told = {part: storable(parts[part].replace("\r\n", "\n")).strip() for part in PARTS[kind]}
    CHECKS[kind](told)
    # The project's row is the lock: two versions at once get two numbers.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    here = versions_of(project=project, kind=kind, name=name)
    if is_new and here:
        raise Refused(f"There is a template {name} already. Choose another name, or write its next version.")
    if here and told == {part: text.strip() for part, text in here[0].parts.items()}:
        raise Refused(f"Nothing was changed: version {here[0].number} of {name} says the same.")
    model = MODELS[kind]
    last = model.objects.filter(project=project, name=name).aggregate(last=Max("version"))["last"]
    row = model.objects.create(project=project, name=name, version=(last or len(here)) + 1, created_by=actor, **told)
    record(
        act=f"{kind}_template.publish",
        subject=f"template {row}",
        actor=actor,
        command=command,
        project=project,
        after={"name": name, "version": row.version},
    )
    return row


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        raise Refused("A template's name has small letters, digits and hyphens, at most 40 of them.")
    if name == "new":
        raise Refused("A template cannot be called new: that is the address under which new ones are written.")
    if re.search(r"-\d+$", name):
        raise Refused("A template's name does not end in a hyphen and a number: that is how its versions are written.")


def _check_judge(parts: Mapping[str, str]) -> None:
    """Raises `Refused` unless both questions have their places and say what may be answered."""
    titles, nothing = PARTS[JUDGE], frozenset[str]()
    wanted = {"user": PLACES, "user_overall": PLACES - {"principle"}}
    for part, text in parts.items():
        check_places(text, wanted=wanted.get(part, nothing), of=f"“{titles[part]}”")
    for which in ("", "_overall"):
        said = parts[f"system{which}"] + "\n" + parts[f"user{which}"]
        # The places are taken out: {a} is no answer.
        words = re.findall(r"\w+", re.sub(r"\{\w+\}", " ", said))
        if silent := [option for option in OPTIONS if option not in words]:
            raise Refused(
                f"“{titles[f'user{which}']}” does not say that {silent[0]} can be answered. Verdicts are read from the "
                f"probabilities of {', '.join(OPTIONS)} as the first word: name all of them."
            )


def _check_rationale(parts: Mapping[str, str]) -> None:
    if not parts["text"]:
        raise Refused(f"The template is empty. It needs {{prompt}}, and {{chosen}} and {{rejected}}, or {_listed()}.")
    check_template(parts["text"])


def _listed() -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(OPEN_PLACES - {"prompt"}))


def _check_values(parts: Mapping[str, str]) -> None:
    check_length(parts["text"], of="The list")
    values.read(parts["text"])


CHECKS = {JUDGE: _check_judge, RATIONALE: _check_rationale, VALUE: _check_values}


def pinned(*, project: Project, kind: str, references: Sequence[str]) -> tuple[str, ...]:
    """The versions that these names stand for now: what a run keeps.

    Raises:
        Refused: there is none of that name.
    """
    return tuple(version_of(project=project, kind=kind, reference=one).label for one in references)
