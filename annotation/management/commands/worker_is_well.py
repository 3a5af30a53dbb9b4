"""manage.py worker_is_well: the health check of a worker's container."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from annotation.running import ALIVE, living_workers
from config.celery import app


class Command(BaseCommand):
    help = "Whether a worker answers and its pulse reaches the database; the exit status is 1 where it does not."
    requires_system_checks = []  # Asked every minute.

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the worker's name, as cpu@host")
        parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for its answer; default: 10")

    def handle(self, *args: Any, name: str, timeout: float, **options: Any) -> None:
        try:
            has_pulse = living_workers().filter(name=name).exists()
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}") from error
        if not has_pulse:
            # What pages, `sweep` and the other workers go by.
            raise CommandError(
                f"{name} has given no sign of life for {ALIVE.total_seconds():.0f} s. Its log says why; start it again."
            )
        if not app.control.inspect(destination=[name], timeout=timeout).ping():
            raise CommandError(f"{name} does not answer. Its log says why; start it again.")
        self.stdout.write(f"{name} is well.")
