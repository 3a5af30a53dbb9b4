"""manage.py import_pairs FILE --project SLUG: a file of pairs into a project. See docs/importing.md."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from contextlib import nullcontext
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from annotation import importing
from annotation.access import project_of
from annotation.errors import Refused
from annotation.importing.commanding import ImportCommand
from annotation.importing.mapping import parse_mapping
from annotation.importing.reporting import Report
from annotation.models import Project
from annotation.recording import record


class Command(ImportCommand):
    help = (
        "Import pairs from JSON lines (also .gz), a JSON array, CSV, Parquet, or a Hugging Face dataset folder. "
        "All of the file comes in, or nothing; the same file twice adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        known = ", ".join(["auto", *importing.LAYOUTS, "mapping"])
        parser.add_argument("--layout", default="auto", help=f"one of {known}; default: auto")
        parser.add_argument(
            "--map", action="append", default=[], metavar="FIELD=COLUMN", help="name a column; repeat for each field"
        )
        parser.add_argument("--allow", default="", metavar="KINDS", help="let these in, marked: empty,identical")
        parser.add_argument("--source", default="", help="only rows of this source")
        parser.add_argument("--split", default="", help="only this split of a dataset folder")
        parser.add_argument("--create", action="store_true", help="found the project if it is not there")
        parser.add_argument("--overlap", type=int, help="with --create: how many people judge each pair")
        parser.add_argument("--scale", type=int, help="with --create: the points of the answer: 2, 4, 6 or 7")

    def do(self, options: dict[str, Any]) -> Report:
        # A project that is founded for a file is there only if the file is.
        with transaction.atomic() if options["create"] else nullcontext():
            is_new = not Project.objects.filter(slug=options["project"]).exists()
            project = self._project(options)
            report = importing.import_pairs(
                project=project,
                path=options["file"],
                layout=options["layout"],
                mapping=parse_mapping(options["map"]) or None,
                on_error=options["on_error"],
                allow={kind.strip() for kind in options["allow"].split(",") if kind.strip()},
                source=options["source"],
                split=options["split"],
                progress=self.progress(options),
            )
            if options["create"] and not report.stored:
                transaction.set_rollback(True)
            elif is_new:
                # Last: whoever adds to the record keeps everybody else from it until their transaction ends.
                after = {"name": project.name}
                record(act="project.found", subject=project.slug, command="import_pairs", project=project, after=after)
        return report

    def _project(self, options: dict[str, Any]) -> Project:
        given = {name: options[name] for name in ("overlap", "scale") if options[name] is not None}
        if given and not options["create"]:
            raise Refused(f"--{next(iter(given))} is for --create; change a project's settings on its page.")
        slug = options["project"]
        project = Project.objects.filter(slug=slug).first()
        if project is None and options["create"]:
            return _found(slug, given)
        for setting, value in given.items():
            if project is not None and getattr(project, setting) != value:
                raise Refused(
                    f"The project {slug!r} is here already, with {setting} {getattr(project, setting)}. "
                    f"Leave out --{setting}, or change it on the project's page."
                )
        return project or project_of(slug)


def _found(slug: str, given: dict[str, int]) -> Project:
    """A project for the file. It has no lead yet: a command has no account; an admin invites one."""
    name = slug.replace("-", " ").replace("_", " ").strip().capitalize()
    project = Project(slug=slug, name=name, seed=secrets.randbits(62), **given)
    try:
        project.full_clean(exclude=["created_by"])
    except ValidationError as error:
        field, sentences = next(iter(error.message_dict.items()))
        raise Refused(f"The project cannot be founded. {field.capitalize()}: {' '.join(sentences)}") from error
    project.save(force_insert=True)
    return project
