"""Projects: founding one, changing its settings, starting, pausing and closing it."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from annotation import lining_up, opening
from annotation.errors import Refused
from annotation.models import Annotator, Judgement, Project, Role, Scale, User
from annotation.recording import record

SETTINGS = (
    "name",
    "description",
    "question",
    "task",
    "scale",
    "allow_tie",
    "allow_both_bad",
    "allow_edits",
    "overlap",
    "rationale_policy",
    "shortest_reason",
    "votes_policy",
    "tags",
    "machine_reasons",
    "control_share",
    "lease_minutes",
    "gold_round",
    "gold_pass",
    "gold_rate",
    "shows_results",
)

# What may be done to a project, by the state it is in.
MOVES: dict[str, dict[str, str]] = {
    Project.State.SETUP: {"start": Project.State.JUDGING, "close": Project.State.CLOSED},
    Project.State.JUDGING: {"pause": Project.State.PAUSED, "close": Project.State.CLOSED},
    Project.State.PAUSED: {"resume": Project.State.JUDGING, "close": Project.State.CLOSED},
    Project.State.CLOSED: {"reopen": Project.State.JUDGING},
}


def slug_for(name: str) -> str:
    """A free slug for a project of this name. Names without Latin letters get `project-…`."""
    base = slugify(name)[:50].strip("-") or "project"
    taken = set(Project.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    if base not in taken and base != "project":
        return base
    number = next(n for n in range(2 if base in taken else 1, len(taken) + 3) if f"{base}-{n}" not in taken)
    return f"{base}-{number}"


@transaction.atomic
def found_project(
    *,
    name: str,
    slug: str = "",
    state: str = Project.State.SETUP,
    actor: User | None = None,
    command: str = "",
    is_recorded: bool = True,
    **settings: Any,
) -> Project:
    """Found a project; the acting user becomes its lead. `settings` are those of SETTINGS; the rest have defaults.

    Without `is_recorded` the caller calls `record_founding` at the end of the same transaction: whoever records keeps
    everybody else from the record until then.

    Raises:
        Refused: the slug is taken, or a setting is unknown or out of its range.
    """
    _known(settings)
    project = Project(
        name=name.strip(),
        slug=slug or slug_for(name),
        state=state,
        seed=secrets.randbits(62),
        created_by=actor,
        **settings,
    )
    _validate(project)
    try:
        with transaction.atomic():
            project.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(f"There is a project with the address {project.slug!r} already. Choose another name.") from error
    if actor is not None:
        Annotator.objects.create(project=project, user=actor, role=Role.LEAD, name=str(actor))
    if is_recorded:
        record_founding(project=project, actor=actor, command=command)
    return project


def record_founding(*, project: Project, actor: User | None = None, command: str = "") -> None:
    record(
        act="project.found",
        subject=project.slug,
        actor=actor,
        command=command,
        project=project,
        after={"name": project.name},
    )


@transaction.atomic
def change_settings(*, project: Project, actor: User, **changes: Any) -> Project:
    """Change what SETTINGS names. Judgements that were given stay as they are; only what changed is recorded.

    Raises:
        Refused: an unknown setting, one out of its range, or another scale although pairs have been judged on this one.
    """
    _known(changes)
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    changed = {name: value for name, value in changes.items() if getattr(project, name) != value}
    if not changed:
        return project
    if "scale" in changed and has_judgements(project):
        raise Refused(
            f"The scale stays at {project.scale} points: pairs have been judged on it, and answers of two scales can "
            f"not be put together. Found another project for another scale."
        )
    before = {name: getattr(project, name) for name in changed}
    for name, value in changed.items():
        setattr(project, name, value)
    _validate(project)
    project.save(update_fields=[*changed])
    if "overlap" in changed or "task" in changed:
        opening.open_slots(project=project)
        lining_up.open_turns(project=project)
    record(act="project.settings", subject=project.slug, actor=actor, project=project, before=before, after=changed)
    return project


@transaction.atomic
def move(*, project: Project, act: str, actor: User) -> Project:
    """Start, pause, resume, close or reopen judging.

    Raises:
        Refused: the project is in a state from which that is not possible, or `act` is none of these.
    """
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    possible = MOVES[project.state]
    if act not in possible:
        state = project.get_state_display().lower()
        raise Refused(f"{act!r} is not possible while the project is {state}. Possible now: {', '.join(possible)}.")
    before, project.state = project.state, possible[act]
    project.save(update_fields=["state"])
    record(
        act=f"project.{act}",
        subject=project.slug,
        actor=actor,
        project=project,
        before={"state": before},
        after={"state": project.state},
    )
    return project


def has_judgements(project: Project) -> bool:
    """True once a pair was judged here. Imported judgements do not count: they were not given on this scale."""
    return Judgement.objects.filter(assignment__project=project, assignment__slot__isnull=False).exists()


def read_tags(text: str, *, existing: list[dict[str, str]]) -> list[dict[str, str]]:
    """Tags from a list of labels, one per line. A label that was there keeps its key: rationales are stored by key.

    Raises:
        Refused: a label twice, too long, or too many.
    """
    labels = [line.strip() for line in text.splitlines() if line.strip()]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise Refused(f"{twice[0]!r} stands there twice. Leave one.")
    if len(labels) > 24:
        raise Refused(f"There are {len(labels)} tags. Leave at most 24: nobody reads a longer list beside each pair.")
    long = next((label for label in labels if len(label) > 40), None)
    if long:
        raise Refused(f"{long!r} has {len(long)} characters. A tag has at most 40.")
    keys = {tag["label"]: tag["key"] for tag in existing}
    # Keys of tags that are gone stay theirs: a new tag must not inherit what was said under an old one.
    used = set(keys.values())
    tags = []
    for label in labels:
        key = keys.get(label)
        if key is None:
            base = re.sub(r"[^a-z0-9]+", "_", slugify(label))[:40].strip("_") or "tag"
            key, n = base, 2
            while key in used:
                key, n = f"{base}_{n}", n + 1
            used.add(key)
        tags.append({"key": key, "label": label})
    return tags


def _known(settings: dict[str, Any]) -> None:
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise Refused(f"Unknown setting {', '.join(unknown)}. Known are: {', '.join(SETTINGS)}.")


def _validate(project: Project) -> None:
    if project.scale == Scale.SEVEN and not project.allow_tie:
        raise Refused("A scale of 7 points has the tie in its middle. Allow ties, or take 6 points.")
    if not 1 <= project.overlap <= 50:
        raise Refused(f"The overlap is 1 to 50 judgements per pair, not {project.overlap}.")
    if not 1 <= project.lease_minutes <= 1440:
        raise Refused(f"A pair stays reserved for 1 to 1440 minutes, not for {project.lease_minutes}.")
    if not 0 <= project.gold_pass <= project.gold_round <= 200:
        raise Refused(
            f"A gold round has up to 200 pairs, of which as many or fewer must be right; not {project.gold_pass} of "
            f"{project.gold_round}."
        )
    if not 0 <= project.shortest_reason <= 1000:
        raise Refused(f"A reason needs 0 to 1000 characters, not {project.shortest_reason}.")
    if not 0 <= project.control_share <= 0.9:
        raise Refused(f"The share without machine reasons is 0 to 0.9, not {project.control_share}.")
    if not 0 <= project.gold_rate <= 0.5:
        raise Refused(f"The share of gold pairs is 0 to 0.5, not {project.gold_rate}.")
    others = {field.name for field in Project._meta.fields} - {*SETTINGS, "slug"}
    try:
        project.full_clean(exclude=others, validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        field, sentences = next(iter(error.message_dict.items()))
        raise Refused(f"{field.replace('_', ' ').capitalize()}: {' '.join(sentences)}") from error
