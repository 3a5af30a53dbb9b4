"""manage.py generate --project SLUG --model NAME: ask a worker for candidates."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from annotation.awaiting import StartCommand
from annotation.generating import PAIRING_TITLES, SCORERS, STRATEGIES, GenerationPlan
from annotation.models import Project
from annotation.starting import chosen

# Options that the plan takes under the same names.
AS_GIVEN = (
    *("strategy", "n", "source", "limit", "scorer", "scorer_model", "values", "pairing", "per_prompt", "near"),
    *("max_tokens", "temperature", "top_p", "top_k", "min_p"),
)


class Command(StartCommand):
    help = "Ask a worker to generate candidates for a project's prompts. Says before what it takes."
    command = "generate"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model",
            action="append",
            required=True,
            metavar="NAME",
            help="a registered model; repeatable; where a strategy sets one against another, the better one first",
        )
        parser.add_argument(
            "--prompts",
            default="without",
            metavar="WHICH",
            help="without (no candidates yet; default), all, tag:NAME, selection:NAME (a saved one, or NAME@VERSION)",
        )
        parser.add_argument("--source", default="", help="only prompts of this source")
        parser.add_argument("--limit", type=int, help="at most so many prompts, the oldest first")
        parser.add_argument("--strategy", default="plain", help=f"one of {', '.join(STRATEGIES)}; default: plain")
        parser.add_argument("-n", type=int, default=4, help="candidates per prompt and model; default: 4")
        parser.add_argument("--max-tokens", type=int, default=512)
        parser.add_argument("--temperature", type=float, default=1.0)
        parser.add_argument("--top-p", type=float, default=1.0)
        parser.add_argument("--top-k", type=int, default=0, help="0: all tokens (default)")
        parser.add_argument("--min-p", type=float, default=0.0)
        parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help="ends a candidate; repeatable")
        parser.add_argument("--scorer", default="", help=f"one of {', '.join(SCORERS)}, for strategies that score")
        parser.add_argument(
            "--scorer-model", default="", metavar="NAME", help="the model that scores; default: the one that generates"
        )
        parser.add_argument(
            "--values",
            default="",
            metavar="NAME",
            help="for janus: a list of values of the project, with -NUMBER that version; default: janus",
        )
        parser.add_argument(
            "--pairing", default="", help=f"one of {', '.join(PAIRING_TITLES)}; default: the strategy's own"
        )
        parser.add_argument("--per-prompt", type=int, default=1, help="pairs that --pairing sampled draws; default: 1")
        parser.add_argument(
            "--near",
            type=float,
            default=0.9,
            help="from this similarity on (Jaccard, word triples) two candidates are not paired; 1: identical only",
        )

    def plan(self, project: Project, options: dict[str, Any]) -> GenerationPlan:
        given = {name: options[name] for name in AS_GIVEN}
        plan = GenerationPlan(models=tuple(options["model"]), stop=tuple(options["stop"]), **given)
        return chosen(project=project, plan=plan, which=options["prompts"])
