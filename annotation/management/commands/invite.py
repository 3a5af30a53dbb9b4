"""Invitations from the command line."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from annotation.access import project_of
from annotation.errors import Refused
from annotation.inviting import invite
from annotation.models import Role
from config import address


class Command(BaseCommand):
    help = "Make an invitation to a project and print its link, which is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="the project's slug")
        parser.add_argument("--role", choices=Role.values, default=Role.ANNOTATOR)
        parser.add_argument("--email", default="", help="only this address may join; default: whoever has the link")
        parser.add_argument("--places", type=int, default=1, help="how many people may join; default: 1")
        parser.add_argument("--days", type=int, default=14, help="for how long the link works; default: 14")
        parser.add_argument(
            "--address",
            default=address.usual(state=settings.VAR),
            help="where the pages are served; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {name: options[name] for name in ("role", "email", "places", "days")}
        try:
            project = project_of(options["project"])
            _, token = invite(project=project, command="invite", **wanted)
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(options["address"].rstrip("/") + reverse("join", args=[token]))
