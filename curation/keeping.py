"""A filter of the board -> a saved selection: criteria that a release reads, with owner and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.http import QueryDict

from annotation.errors import Refused
from annotation.models import Project, User
from annotation.pairing import source_of
from annotation.recording import record
from curation import browsing
from curation.criteria import NONE_OF, ONE_OF, Criterion, from_json, measures_in
from curation.dimensions import FIELD_OF, MARKED, OTHER, UNKNOWN, Dimension
from curation.filters import BESIDES, LONGEST, Filter, named, parse
from curation.models import FactsState, Selection

NO_FACTS = "The facts have not been gathered yet: open the board and press the button, or run manage.py gather_facts."
# Of a filter. There are not as many dimensions.
MOST_FILTERS = 60
# Between a name and its version. Names from before it was refused in them go on, and are read as they stand.
VERSION_MARK = "@"
# Of the names that a refusal lists.
MOST_NAMED = 20


def query_of(text: str) -> QueryDict:
    """A filter as a form or a program hands it over, as the board's address has it.

    Raises:
        Refused: it is too long, as it comes or as an address has it. What is cut off would be a wider filter.
    """
    if len(text) <= LONGEST and text.count("&") <= MOST_FILTERS:
        query = QueryDict(text.removeprefix("?"))
        if len(address_text(query)) <= LONGEST:
            return query
    raise Refused(
        f"The filter is too long: at most {LONGEST:,} characters, as an address has them, and {MOST_FILTERS} parts are "
        "taken. Choose fewer values, or all but some."
    )


def address_text(query: QueryDict) -> str:
    """A filter as an address has it, and as it is kept."""
    return query.urlencode(safe=",")


def filter_of(state: FactsState | None, query: QueryDict) -> Filter:
    """The pairs that an address asks for, and nothing besides.

    Raises:
        Refused: it says something that this project's board does not know, or the same twice.
    """
    if any(len(query.getlist(key)) > 1 for key in query):
        raise Refused("Each filter stands in the address once.")
    if besides := [key for key in BESIDES if key in query]:
        raise Refused(f"{besides[0]!r} says how the board is shown, not which pairs. Leave it out.")
    if not query:
        return Filter()
    if state is None:
        raise Refused(NO_FACTS)
    asked = parse({key: query.get(key, "") for key in query}, browsing.dims_of(state))
    # Whom or what this project does not have is not on the list.
    browsing.scope_in_words(state.project, asked.scope)
    return asked


@transaction.atomic
def save_selection(
    *, project: Project, name: str, asked: Filter, dims: Sequence[Dimension], query: str, actor: User
) -> Selection:
    """Save a filter under a name; the same name again is its next version, unless nothing has changed.

    Raises:
        Refused: the name is empty, too long or a new one with @, or a value of the filter cannot be a criterion.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= 120 or "\0" in name:
        raise Refused("Give the selection a name of at most 120 characters, and no NUL character.")
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    named = Selection.objects.filter(project=project, name=name)
    latest = named.order_by("-version").first()
    if VERSION_MARK in name and latest is None:
        raise Refused(
            f"A name of a selection holds no {VERSION_MARK}: behind it stands which version is meant, as in "
            f"hard{VERSION_MARK}2. Choose another name."
        )
    read = criteria_of(asked, dims)
    criteria = [one.as_json() for one in read]
    from_json(criteria)
    shown = _measures(project)
    measures = {key: shown[key] for key in measures_in(read) if key in shown}
    told = (criteria, query, measures)
    if latest is not None and (latest.criteria, latest.query, latest.measures) == told:
        return latest
    version = (named.aggregate(last=Max("version"))["last"] or 0) + 1
    saved = Selection.objects.create(
        project=project,
        name=name,
        version=version,
        criteria=criteria,
        query=query,
        measures=measures,
        owner=actor,
    )
    record(act="selection.save", subject=str(saved), actor=actor, project=project, after={"filter": query})
    return saved


def saved_as(*, project: Project, name: str) -> Selection:
    """The saved selection of this name in its newest version, or in the one that stands behind an @: hard@2.

    Raises:
        Refused: there is none, with the names that there are.
    """
    found = Selection.objects.filter(project=project).order_by("-version")
    before, _, version = name.rpartition(VERSION_MARK)
    one = found.filter(name=name).first()
    if one is None and version.isdecimal() and len(version) <= 9:
        one = found.filter(name=before, version=int(version)).first()
    if one is None:
        names = sorted(set(found.values_list("name", flat=True)))[:MOST_NAMED]
        there = f"There are {', '.join(names)}." if names else "None was saved yet: brush the board, and save it."
        raise Refused(f"There is no saved selection {name[:120]!r}. {there}")
    return one


def criteria_in(selection: Selection) -> list[Criterion]:
    """The criteria of a saved selection, as they are to be gone by now.

    Raises:
        Refused: they read what a model measured, and the facts now have another model's.
    """
    criteria = from_json(selection.criteria)
    if said := otherwise(selection, _measures(selection.project)):
        raise Refused(f"{selection} {said} Gather the facts for that model again, or save the selection anew.")
    return criteria


def otherwise(selection: Selection, shown: Mapping[str, Mapping[str, Any]]) -> str:
    """How the facts differ from those that a selection was saved by: a sentence's end; empty where they do not.

    `shown`: the measures of the facts. Selections from before they said it differ from nothing.
    """
    for key, then in selection.measures.items():
        now = shown.get(key, {}).get("model", "")
        if now != then["model"]:
            word = {"margin": "the likelihood margin", "reward": "the reward margin"}.get(key, key)
            return f"was saved by {word} for {then['model']}, and the board now has it for {now or 'no model'}."
    return ""


def _measures(project: Project) -> dict[str, dict[str, Any]]:
    return FactsState.objects.filter(project=project).values_list("measures", flat=True).first() or {}


def address_of(saved: Selection, dims: Sequence[Dimension]) -> str:
    """The filter of a saved selection as today's board has it, for the same pairs as its criteria.

    Which values are `other` changes with the most frequent ones; what was `other` when it was saved does not.

    Raises:
        Refused: it has criteria and no filter, which would be all pairs.
    """
    if not saved.is_of_the_board:
        raise Refused(
            f"{saved} was stored by a release that was asked for in criteria, which the board cannot show as a filter. "
            "Choose a selection that was saved on the board."
        )
    query = QueryDict(saved.query, mutable=True)
    without = {one["field"]: {*str(one["value"]).split("|")} for one in saved.criteria if one["operator"] == NONE_OF}
    for one in dims:
        field = FIELD_OF.get(one.key, one.key)
        if one.key in query and one.values[-1:] == (OTHER,) and field in without:
            names = [*one.values, *([UNKNOWN] if "" not in without[field] else [])]
            query[one.key] = ",".join(name.replace(",", "%2C") for name in names if name not in without[field])
    if MARKED.key in query and any(one["field"] == MARKED.key for one in saved.criteria):
        query[MARKED.key] = ",".join(_first_marked(str(query[MARKED.key]).split(",")))
    return address_text(query)


def _first_marked(names: Sequence[str]) -> list[str]:
    """What a filter meant when a pair counted under the first of its marks alone, as today's board says it."""
    taken: set[int] = set()
    found: set[int] = set()
    for name, places in MARKED.covers:
        found |= {*places} - taken if name in names else set()
        taken |= {*places}
    return named(MARKED, sorted(found))


def criteria_of(asked: Filter, dims: Sequence[Dimension]) -> list[Criterion]:
    """The same pairs as typed criteria. Edges are the exact numbers at which a bin begins.

    A filter for what is unknown has no criterion of its own for numbers: `known_…` says it.
    """
    criteria: list[Criterion] = []
    if asked.scope.annotator is not None:
        criteria.append(Criterion("annotator", "=", str(asked.scope.annotator)))
    if asked.scope.conflict is not None:
        criteria.append(Criterion("conflict", "=", "{}-{}".format(*asked.scope.conflict)))
    if asked.scope.run is not None:
        criteria.append(Criterion("source", "=", source_of(asked.scope.run)))
    if asked.scope.only is not None:
        criteria.append(Criterion("pair", "=", float(asked.scope.only)))
    for one in dims:
        slots = asked.passing.get(one.key)
        if slots is None or len(slots) == one.slots:
            continue
        name = FIELD_OF.get(one.key, one.key)
        if one.kind == "category":
            criteria.append(_category(name, one, slots))
        elif slots[0] == one.bins:
            criteria.append(Criterion(f"known_{one.key}", "=", False))
        else:
            last = min(slots[-1], one.bins - 1)
            if slots[0] > 0:
                criteria.append(Criterion(name, ">=", one.exact_edge(slots[0])))
            if last < one.bins - 1:
                criteria.append(Criterion(name, "<", one.exact_edge(last + 1)))
            if slots[0] == 0 and last == one.bins - 1:
                criteria.append(Criterion(f"known_{one.key}", "=", True))
    return criteria


def _category(name: str, one: Dimension, slots: Sequence[int]) -> Criterion:
    def joined(places: Sequence[int]) -> str:
        unknown = "" if one.values[-1:] == (OTHER,) else UNKNOWN
        names = [one.values[place] if place < one.bins else unknown for place in places]
        if split := [value for value in names if "|" in value]:
            raise Refused(f"The value {split[0]!r} of {one.key} holds a |, which divides values. Leave it out.")
        return "|".join(names)

    if OTHER in one.values and one.values.index(OTHER) in slots:
        return Criterion(name, NONE_OF, joined([place for place in range(one.slots) if place not in slots]))
    return Criterion(name, ONE_OF, joined(slots))
