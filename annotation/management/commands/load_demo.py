"""Load the demo project: `python manage.py load_demo`."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from annotation.demonstrating import ANNOTATOR, LEAD, ensure_toy, load_demo
from annotation.errors import Refused


class Command(BaseCommand):
    help = "Load the demo project with its simulated annotators, unless it is there already."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo = load_demo()
            ensure_toy()
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        if demo.is_new:
            # Curation stands above this room: it is called by its command's name, not by import.
            for measure in ("agreement", "discretion", "anchoring"):
                call_command("measure", measure, project=demo.project.slug, stdout=StringIO())
        if options["verbosity"]:
            self.stdout.write(
                f"{'Loaded' if demo.is_new else 'Already there'}: project {demo.project.slug!r}, "
                f"accounts {LEAD} and {ANNOTATOR}, entered by one-time links only."
            )
