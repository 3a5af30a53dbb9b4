"""Is the record of who did what whole?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.models import Event
from annotation.recording import broken_links


class Command(BaseCommand):
    help = (
        "Check the chain of events. Exits with status 1 and names the events when one was changed, removed or inserted."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        broken = list(broken_links())
        for _, sentence in broken:
            self.stderr.write(sentence)
        if broken:
            raise CommandError(f"The record of events is broken in {len(broken)} places.")
        self.stdout.write(f"The record is whole: {Event.objects.count():,} events.")
