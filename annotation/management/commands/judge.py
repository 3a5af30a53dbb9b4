"""manage.py judge --project SLUG --model NAME: ask a worker for machine judgements."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation.asking import ABOUT, ASKS, JudgingPlan
from annotation.awaiting import StartCommand
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
            help=f"of {', '.join(ASKS)}; repeatable; default: overall and principles",
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
            rationales=tuple(options["rationale"]),
            about=options["about"],
            judged_only=options["judged"],
            **{name: options[name] for name in AS_GIVEN},
        )
