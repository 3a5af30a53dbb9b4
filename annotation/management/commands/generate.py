"""manage.py generate --project SLUG --model NAME: ask a worker for candidates."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation.awaiting import StartCommand
from annotation.generating import SCORERS, STRATEGIES, GenerationPlan
from annotation.models import Project
from annotation.starting import chosen


class Command(StartCommand):
    help = "Ask a worker to generate candidates for a project's prompts. Says before what it takes."
    command = "generate"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model", action="append", required=True, metavar="NAME", help="a registered model; repeatable"
        )
        parser.add_argument(
            "--prompts", default="without", metavar="WHICH", help="without (no candidates yet; default), all, tag:NAME"
        )
        parser.add_argument("--limit", type=int, help="at most so many prompts, the oldest first")
        parser.add_argument("--strategy", default="plain", help=f"one of {', '.join(STRATEGIES)}; default: plain")
        parser.add_argument("-n", type=int, default=4, help="candidates per prompt and model; default: 4")
        parser.add_argument("--max-tokens", type=int, default=512)
        parser.add_argument("--temperature", type=float, default=1.0)
        parser.add_argument("--top-p", type=float, default=1.0)
        parser.add_argument("--scorer", default="", help=f"one of {', '.join(SCORERS)}, for strategies that score")

    def plan(self, project: Project, options: dict[str, Any]) -> GenerationPlan:
        names = ("strategy", "n", "max_tokens", "temperature", "top_p", "scorer", "limit")
        plan = GenerationPlan(models=tuple(options["model"]), **{name: options[name] for name in names})
        return chosen(project=project, plan=plan, which=options["prompts"])
