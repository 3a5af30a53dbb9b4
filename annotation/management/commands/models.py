"""manage.py models: list, add, check, allow, withdraw: the register of models, for scripts that set up a server."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation import registering
from annotation.access import model_of
from annotation.api.language_models import LanguageModelOutput
from annotation.awaiting import wait_for
from annotation.errors import Refused
from annotation.models import LanguageModel


class Command(BaseCommand):
    help = "List the register of models; or add, check, allow or withdraw one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", metavar="ACT", help="list (default), add, check, allow, withdraw")
        listing = acts.add_parser("list", help="every model: where it lies, whether it is allowed and was found sound")
        listing.add_argument("--json", action="store_true", help="print JSON lines")
        add = acts.add_parser("add", help="write a model down; it is neither checked nor allowed yet")
        add.add_argument("name", metavar="NAME", help="as runs, candidates and judges will call it")
        add.add_argument("--backend", required=True, choices=LanguageModel.Backend.values)
        add.add_argument(
            "--location",
            default="",
            metavar="WHERE",
            help="a folder under the allowed ones, shipped:toy, or the base address of an endpoint; without: the hub",
        )
        add.add_argument("--name-there", default="", metavar="NAME", help="at the hub or the endpoint, as owner/name")
        add.add_argument("--revision", default="", help="a commit of the hub; of a folder its digest, to be checked")
        add.add_argument("--toy", action="store_true", help="its texts are never handed to annotators")
        check = acts.add_parser("check", help="ask a worker to load it once, and to let it say one word")
        check.add_argument("name", metavar="NAME")
        check.add_argument(
            "--wait", action="store_true", help="wait for what is found; the exit status is 1 unless it is sound"
        )
        for act, says in (("allow", "let runs use it, once it was found sound"), ("withdraw", "no new run uses it")):
            acts.add_parser(act, help=says).add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        act = options["act"] or "list"
        try:
            if act == "list":
                self._list(as_json=bool(options.get("json")))
            elif act == "add":
                self._add(options)
            elif act == "check":
                self._check(model_of(options["name"]), wait=options["wait"])
            elif act == "allow":
                model = registering.allow_model(model=model_of(options["name"]), command="models")
                self.stdout.write(_line(model))
            else:
                model = registering.withdraw_model(model=model_of(options["name"]), command="models")
                self.stdout.write(_line(model))
        except Refused as error:
            raise CommandError(str(error)) from error

    def _list(self, *, as_json: bool) -> None:
        for model in LanguageModel.objects.order_by("name"):
            told = json.dumps(LanguageModelOutput(model).data, ensure_ascii=False) if as_json else _line(model)
            self.stdout.write(told)

    def _add(self, options: dict[str, Any]) -> None:
        names = ("name", "backend", "location", "name_there", "revision")
        given = {name: options[name] for name in names}
        model = registering.register_model(**given, is_toy=options["toy"], command="models")
        self.stdout.write(_line(model))

    def _check(self, model: LanguageModel, *, wait: bool) -> None:
        run = registering.request_check(model=model)
        self.stdout.write(f"Run {run.pk} is waiting for a worker.")
        if not wait:
            return
        is_done = wait_for(run, self.stdout)
        model.refresh_from_db()
        self.stdout.write(_line(model))
        if not (is_done and model.is_sound):
            sys.exit(1)


def _line(model: LanguageModel) -> str:
    """One line: name, backend, place, revision, whether runs may use it, what the last check said."""
    parts = [model.name, model.get_backend_display(), model.source, model.revision]
    parts += ["allowed" if model.allowed_at else "not allowed", model.check_said or "not checked"]
    return " · ".join(part for part in parts if part)
