"""manage.py judge --project SLUG --model NAME: ask a worker for machine judgements."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation.asking import ABOUT, ASKS, JudgingPlan
from annotation.awaiting import StartCommand
from annotation.errors import Refused
from annotation.models import Project
from annotation.questions import TEMPLATES

# Options that the plan takes under the same names.
AS_GIVEN = ("tag", "source", "generation", "limit", "injection_limit", "max_tokens", "temperature")


class Command(StartCommand):
    help = "Ask a worker to judge a project's pairs with a model, in both orders. Says before what it takes."
    command = "judge"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", required=True, metavar="NAME", help="a registered model")
        parser.add_argument(
            "--template",
            default="oracle",
            help=f"one of {', '.join(TEMPLATES)}, or of the project's own; with -NUMBER that version; default: oracle",
        )
        parser.add_argument(
            "--ask",
            action="append",
            default=[],
            metavar="WHAT",
            help=f"of {', '.join(ASKS)}; repeatable; default: overall, principles and injections",
        )
        parser.add_argument(
            "--principle",
            action="append",
            default=[],
            metavar="KEY",
            help="a principle of the project, by its key or its number; repeatable; default: those in force",
        )
        parser.add_argument(
            "--rationale",
            action="append",
            default=[],
            metavar="TEMPLATE",
            help="with --ask rationales: a template of them; repeatable; default: general, for unaided that one",
        )
        parser.add_argument("--about", choices=list(ABOUT), default="own", help="whose verdict the rationales explain")
        parser.add_argument("--tag", default="", help="only pairs with this tag")
        parser.add_argument("--source", default="", help="only pairs of this source")
        parser.add_argument("--generation", type=int, metavar="RUN", help="only pairs of this run that generated")
        parser.add_argument("--judged", action="store_true", help="only pairs that people have judged")
        parser.add_argument("--limit", type=int, help="at most so many pairs, along the queue")
        parser.add_argument(
            "--injection-limit", type=int, default=50, help="pairs that are tried with injected texts; default: 50"
        )
        parser.add_argument("--max-tokens", type=int, default=256, help="of a rationale; default: 256")
        parser.add_argument("--temperature", type=float, default=0.7, help="of rationales; verdicts are never sampled")

    def plan(self, project: Project, options: dict[str, Any]) -> JudgingPlan:
        return JudgingPlan(
            model=options["model"],
            template=options["template"],
            asks=tuple(options["ask"]) or JudgingPlan.asks,
            principles=tuple(_principle(project, named) for named in options["principle"]),
            rationales=tuple(options["rationale"]),
            about=options["about"],
            judged_only=options["judged"],
            **{name: options[name] for name in AS_GIVEN},
        )


def _principle(project: Project, named: str) -> int:
    """The number of a principle that is named by its key, or by that number.

    Raises:
        Refused: there is none, or several lists have one of that key.
    """
    known = dict(project.principles.order_by("pk").values_list("pk", "key"))
    found = [number for number, key in known.items() if key == named]
    if not found and named.isdecimal() and int(named) in known:
        found = [int(named)]
    if len(found) > 1:
        numbers = ", ".join(str(number) for number in found)
        raise Refused(f"Several principles have the key {named!r}. Name one by its number: {numbers}.")
    if not found:
        keys = f"Known are: {', '.join(dict.fromkeys(known.values()))}." if known else "It has none."
        raise Refused(f"This project has no principle {named!r}. {keys}")
    return found[0]
