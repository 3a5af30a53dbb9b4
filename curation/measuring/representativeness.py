"""Whom the people stand for: the declared groups of the pool against a declared target.

Only groups of enough people are shown. Where that would leave one group out alone, whose size the others give away,
the next smallest is left out too.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project, Run
from annotation.running import Hold
from curation import arrays
from curation.declaring import LONGEST, read_object
from curation.measuring import raking
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import representativeness
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Declared

# Fewer people than this are not shown as a group.
LEAST_PEOPLE = 5
SHAPE = '{"attribute": {"group": share}}'
SILENT = "(not declared)"


@dataclass(frozen=True, kw_only=True)
class RepresentativenessRequest(Request):
    """By default what people said. `target` is a file when it is typed, and its content from then on."""

    measure: ClassVar[str] = "representativeness"
    without: ClassVar[tuple[str, ...]] = ("bootstrap",)

    target: str = setting("", says=f"the population, a JSON file: {SHAPE}")
    least_people: int = setting(LEAST_PEOPLE, says="people that a group needs to be shown")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.voices.kind != "person":
            raise Refused("Representativeness is measured of people: judges declare nothing.")
        if not 2 <= self.least_people <= 1000:
            raise Refused(f"A group that is shown has 2 to 1000 people at least, not {self.least_people}.")
        if self.target and not self.target.lstrip().startswith("{"):
            found = read_object(Path(self.target), shape=SHAPE)
            # The run is repeated without the file.
            object.__setattr__(self, "target", json.dumps(found, ensure_ascii=False))

    def check(self) -> None:
        """Raises: Refused, there is no target, or it cannot be read."""
        self.populations  # noqa: B018 - it is read for what it refuses.

    @property
    def populations(self) -> dict[str, dict[str, float]]:
        """For each attribute how large every group is, in any unit. Raises: Refused."""
        if not self.target:
            raise Refused(f"Say whom the people should stand for: --set target=FILE with {SHAPE}.")
        try:
            found = json.loads(self.target)
        except (ValueError, RecursionError) as error:
            raise Refused(f"The target cannot be read as JSON. Write {SHAPE}.") from error
        if not found:
            raise Refused(f"The target has no attribute. Write {SHAPE}.")
        for attribute, groups in found.items():
            names = [attribute, *(groups if isinstance(groups, dict) else [])]
            if not all(0 < len(name.strip()) <= LONGEST and "\0" not in name for name in names):
                raise Refused(f"The target has an attribute or a group that is empty or over {LONGEST} characters.")
            sizes = list(groups.values()) if isinstance(groups, dict) else []
            if not sizes or not all(_is_size(size) for size in sizes) or not sum(sizes):
                raise Refused(f"The target of {attribute!r} has no sizes of groups. Write {SHAPE}.")
        return dict(found)


def _is_size(size: object) -> bool:
    return isinstance(size, (int, float)) and not isinstance(size, bool) and 0 <= size < 1e12


def execute(hold: Hold, project: Project, asked: RepresentativenessRequest) -> dict[str, Any]:
    """Measure whom the people who judged stand for, and store it. Returns the run's result.

    Stored is the total-variation distance, the largest over the attributes of the target; beside it, for each
    attribute, its own distance, its groups with people, preference rate and half-width, how often each group's absence
    changes a majority, the weighted rate, and the groups of whom nobody is there. The weighted rate for all attributes
    together is a measurement of its own, and so is how many majorities change with its weights.

    Raises:
        Refused: there is no target, or it cannot be read.
        Cancelled, Superseded: as `Hold.beat`.
    """
    populations = asked.populations
    labels = arrays.judgement_labels(project=project, voices=asked.voices, where=asked.where)
    declared: dict[str, dict[int, str]] = {}
    rows = Declared.objects.filter(annotator__in=labels.annotators.tolist()).order_by("pk")
    for who, attribute, group in rows.values_list("annotator_id", "attribute", "group"):
        declared.setdefault(attribute, {})[who] = group
    hold.beat()
    attributes = {
        name: _attribute(labels, name, declared.get(name, {}), target, asked.least_people)
        for name, target in populations.items()
    }
    distances = [one.pop("estimate") for one in attributes.values()]
    defined = [one for one in distances if one.is_defined]
    widest = max(defined, key=lambda one: one.value) if defined else distances[0]
    together = raking.weighted(labels, declared, populations, least=asked.least_people)
    found = [
        as_row(hold.run, "total_variation", widest, detail={"attributes": attributes}),
        as_row(hold.run, "raked_rate", together.raked, detail={"weighted": together.as_json()}),
        as_row(hold.run, "raked_winner_change", together.changes),
    ]
    with hold.fenced():
        replace_all(hold, found)
    return {"people": labels.n_annotators, "judgements": len(labels)}


def _attribute(
    labels: Labels, name: str, declared: dict[int, str], target: dict[str, float], least: int
) -> dict[str, Any]:
    pool = Counter(declared.values())
    silent = labels.n_annotators - len(declared)
    total = sum(pool.values())
    if 0 < total < least:
        few = Estimate.undefined(f"Fewer than {least} people declared it.")
        return {"estimate": few, **few.as_json(), "groups": [], "not_estimable": [], "is_too_few": True}
    distance = representativeness.total_variation(pool, target)
    hidden = _hidden(pool, least)
    group_of = np.array([declared.get(int(one), SILENT) for one in labels.annotators], dtype=object)
    first, decided = _choices(labels, group_of)
    rates = {one.group: one for one in representativeness.group_rates(first, decided, groups=[*target])}
    without = representativeness.leave_one_group_out(labels, group_of)
    sizes = sum(target.values())
    groups: list[dict[str, Any]] = []
    for group in [*target, *(one for one in sorted(pool) if one not in target)]:
        entry: dict[str, Any] = {"group": group, "target": target.get(group, 0) / sizes}
        if group in hidden:
            groups.append(
                {**entry, "people": None, "reason": f"Too few people to be shown: a group has {least} or more."}
            )
            continue
        entry["people"] = pool.get(group, 0)
        if group in rates:
            rate = rates[group]
            entry |= {"prefers_first": rate.rate.as_json(), "half_width": _plain(rate.half_width)}
        if group in without:
            entry["without_it"] = without[group].as_json()
        groups.append(entry)
    return {
        "estimate": distance,
        **distance.as_json(),
        "silent": silent if silent == 0 or silent >= least else None,
        "groups": groups,
        "not_estimable": representativeness.not_estimable(pool, target),
        "weighted": raking.weighted(labels, {name: declared}, {name: target}, least=least).as_json(),
    }


def _hidden(pool: Counter[str], least: int) -> set[str]:
    """The groups that are too small to be shown, and one more where a single one could be told by subtraction."""
    hidden = {group for group, size in pool.items() if size < least}
    if len(hidden) == 1 and len(pool) > 1:
        hidden.add(min((group for group in pool if group not in hidden), key=lambda group: (pool[group], group)))
    return hidden


def _choices(labels: Labels, group_of: NDArray[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """How often each group preferred the first of the file, and how often it decided."""
    chosen = labels.value < 2
    groups = group_of[labels.annotator]
    decided = Counter(groups[chosen].tolist())
    first = Counter(groups[chosen & (labels.value == 0)].tolist())
    return dict(first), dict(decided)


def _plain(value: float) -> float | None:
    return None if value != value else value


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: the widest distance, and every attribute."""
    row = run.measurements.get(metric="total_variation")
    shown = as_shown(row)
    asked = {key: value for key, value in asked_of(run).items() if key != "target"}
    # Runs from before there were weights have none.
    raked = run.measurements.filter(metric="raked_rate").first()
    together = {"weighted": raked.detail["weighted"]} if raked else {}
    return {**asked, "target": json.loads(run.parameters["target"]), **shown, **together}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [f"{found['people']} people, {found['judgements']} judgements (run {found['run']})."]
    for name, one in found["attributes"].items():
        if one["value"] is None:
            lines.append(f"{name}: undefined. {one['reason']}")
        else:
            lines.append(f"{name}: distance {one['value']:.3f} to the target, {one['n']} people declared it")
        lines += [f"  {_group(group)}" for group in one["groups"]]
        if one["not_estimable"]:
            lines.append(f"  Not estimable, nobody is there: {', '.join(one['not_estimable'])}")
        lines += [f"  {line}" for line in _weighted(one.get("weighted"))]
    if len(found["attributes"]) > 1:
        lines += [f"All together: {line}" for line in _weighted(found.get("weighted"))]
    return "\n".join(lines)


def _weighted(one: dict[str, Any] | None) -> list[str]:
    """What weighting comes to, in lines."""
    if one is None:
        return []
    if one["raw"]["value"] is None:
        return [f"Weighted like the target: undefined. {one['raw']['reason']}"]
    said = [f"The people as they are prefer the first {_rate(one['raw'])}"]
    if one["raked"]["value"] is not None:
        said.append(f"Weighted like the target: {_rate(one['raked'])}, design effect {one['design_effect']:.2f}")
    else:
        said.append(f"Weighted like the target: undefined. {one['raked']['reason']}")
    if one["rest"]["value"] is not None:
        said.append(
            f"Weighted like the {100 * one['covers']:.0f} % of it who are there: {_rate(one['rest'])}, "
            f"design effect {one['design_effect']:.2f}"
        )
    if one["changes"]["value"] is not None:
        changes = one["changes"]
        said.append(f"Majorities that change with the weights: {100 * changes['value']:.1f} % of {changes['n']}")
    return said


def _rate(one: dict[str, Any]) -> str:
    return f"{100 * one['value']:.1f} % ({100 * one['low']:.1f} to {100 * one['high']:.1f}), n {one['n']}"


def _group(one: dict[str, Any]) -> str:
    said: str = f"{one['group']} ({100 * one['target']:.0f} % of the target): "
    if one["people"] is None:
        return f"{said}{one['reason']}"
    said += f"{one['people']} {'person' if one['people'] == 1 else 'people'}"
    if one.get("half_width") is not None:
        rate = one["prefers_first"]
        said += f", prefers the first {100 * rate['value']:.0f} % ± {100 * one['half_width']:.0f}, n {rate['n']}"
    return said
