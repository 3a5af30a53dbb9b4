"""A file of what annotators declared -> their groups. It is read again as a whole: what it leaves out is taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.db import transaction

from annotation.errors import Refused
from annotation.models import Annotator, Project, User
from annotation.recording import record
from curation.models import Declared

LONGEST = 60
MOST_BYTES = 10_000_000
SHAPE = '{"annotator": {"attribute": "group"}}'


@transaction.atomic
def declare(*, project: Project, path: Path, actor: User | None = None, command: str = "declare") -> int:
    """Replace what the people of a project declared by what a JSON file says. Returns how many people it speaks of.

    The file is {"annotator": {"attribute": "group"}}; an annotator is named by the identifier of the file that they
    came with, or by name.

    Raises:
        Refused: the file cannot be read, or names nobody or two people by one name.
    """
    said = _checked(read_object(path, shape=SHAPE), path.name)
    known = _people(project)
    rows = []
    for name, groups in said.items():
        who = known.get(name, [])
        if len(who) != 1:
            problem = "nobody" if not who else f"{len(who)} people"
            raise Refused(f"{path.name}: {name!r} is {problem} in this project. Use the identifiers of the import.")
        rows += [Declared(annotator_id=who[0], attribute=key, group=group) for key, group in groups.items()]
    if len({row.annotator_id for row in rows}) < sum(bool(groups) for groups in said.values()):
        raise Refused(f"{path.name} names somebody twice: by identifier and by name. Keep one.")
    Declared.objects.filter(annotator__project=project).delete()
    Declared.objects.bulk_create(rows, batch_size=1000)
    record(
        act="declare",
        subject=f"project {project.slug}",
        actor=actor,
        command=command,
        project=project,
        # Never who said what: an event stays when a person goes.
        after={"people": len(said), "attributes": sorted({row.attribute for row in rows})},
    )
    return len(said)


def read_object(path: Path, *, shape: str) -> dict[str, Any]:
    """The JSON object of a file. Raises: Refused, with the shape that it should have."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Refused(f"{path.name} is larger than {MOST_BYTES // 1_000_000} MB.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{path.name} cannot be read as JSON. Write {shape}.") from error
    if not isinstance(found, dict):
        raise Refused(f"{path.name} is no object. Write {shape}.")
    return found


def _checked(found: dict[str, Any], name: str) -> dict[str, dict[str, str]]:
    for who, groups in found.items():
        if not isinstance(groups, dict) or not all(isinstance(group, str) for group in groups.values()):
            raise Refused(f"{name}: {who!r} has no groups by attribute. Write {SHAPE}.")
        for text in (text for both in groups.items() for text in both):
            if not 0 < len(text.strip()) <= LONGEST or "\0" in text:
                raise Refused(f"{name}: {who!r} has an attribute or group that is empty or over {LONGEST} characters.")
    return found


def _people(project: Project) -> dict[str, list[int]]:
    """Numbers by identifier and by name; an identifier goes before somebody else's name."""
    by_name: dict[str, list[int]] = {}
    by_identifier: dict[str, list[int]] = {}
    people = Annotator.objects.filter(project=project, kind=Annotator.Kind.PERSON)
    for number, name, identifier in people.values_list("pk", "name", "external_id"):
        by_name.setdefault(name, []).append(number)
        if identifier:
            by_identifier[identifier] = [number]
    return {**by_name, **by_identifier}
