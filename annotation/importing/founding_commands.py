"""Imports that can found the project which the file is for: `--create` of import_pairs and import_prompts."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from django.db import transaction

from annotation import founding
from annotation.access import project_of
from annotation.errors import Refused
from annotation.importing.commanding import ImportCommand
from annotation.importing.reporting import Report
from annotation.models import Project


class FoundingCommand(ImportCommand):
    """Subclasses say what is taken in, with `into`; `command` is their own name."""

    command = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--create", action="store_true", help="found the project if it is not there")
        parser.add_argument("--overlap", type=int, help="with --create: how many people judge each pair")
        parser.add_argument("--scale", type=int, help="with --create: the points of the answer: 2, 4, 6 or 7")

    def into(self, options: dict[str, Any], take_in: Callable[[Project], Report]) -> Report:
        """Take the file into the project. One that is founded for a file is there only if the file is."""
        with transaction.atomic() if options["create"] else nullcontext():
            is_new = not Project.objects.filter(slug=options["project"]).exists()
            project = self._project(options)
            report = take_in(project)
            if options["create"] and not report.stored:
                transaction.set_rollback(True)
            elif is_new:
                founding.record_founding(project=project, command=self.command)
        return report

    def _project(self, options: dict[str, Any]) -> Project:
        given: dict[str, Any] = {name: options[name] for name in ("overlap", "scale") if options[name] is not None}
        if given and not options["create"]:
            raise Refused(f"--{next(iter(given))} is for --create; change a project's settings on its page.")
        slug = options["project"]
        project = Project.objects.filter(slug=slug).first()
        if project is None and options["create"]:
            return self._found(slug, given)
        for setting, value in given.items():
            if project is not None and getattr(project, setting) != value:
                raise Refused(
                    f"The project {slug!r} is here already, with {setting} {getattr(project, setting)}. "
                    f"Leave out --{setting}, or change it on the project's page."
                )
        return project or project_of(slug)

    def _found(self, slug: str, given: dict[str, Any]) -> Project:
        """A project for the file. It has no lead yet: a command has no account; an admin invites one."""
        name = slug.replace("-", " ").replace("_", " ").strip().capitalize()
        try:
            return founding.found_project(
                name=name, slug=slug, state=Project.State.JUDGING, command=self.command, is_recorded=False, **given
            )
        except Refused as refusal:
            raise Refused(f"The project cannot be founded. {refusal}") from refusal
