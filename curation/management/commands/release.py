"""manage.py release NAME --project SLUG --out DIR: write a release and say what it holds and what was dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.access import project_of
from annotation.errors import Refused
from curation import releasing
from curation.criteria import FIELDS, parse_all
from curation.deciding import RULES, TIES
from curation.export.layouts import LAYOUTS
from curation.keeping import criteria_in, saved_as
from curation.planning import ANNOTATORS, DIFFICULTY, HARDER, MOST_HARMFUL
from curation.subsetting import NGRAMS


class Command(BaseCommand):
    help = "Release a dataset: parquet, card, manifest and checksums in one folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the release's name, unique in the project")
        parser.add_argument("--project", required=True, metavar="SLUG")
        parser.add_argument(
            "--selection",
            default="",
            metavar="NAME",
            help="a saved selection, in its newest version or as NAME@VERSION; --where comes beside it",
        )
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="CRITERION",
            help="only pairs that meet it, as agreement>=0.66 or tag=code; repeatable. "
            f"Fields: {', '.join(FIELDS)}, meta.KEY",
        )
        parser.add_argument(
            "--rule", default="majority", help=f"how judgements become a chosen answer: {', '.join(RULES)}"
        )
        parser.add_argument("--layout", default="trl_dpo", help=f"one of {', '.join(LAYOUTS)}")
        parser.add_argument("--annotators", default="people", help=f"whose judgements count: {', '.join(ANNOTATORS)}")
        parser.add_argument(
            "--ties",
            default="",
            metavar="WHAT",
            help="; ".join(f"{name}: {what}" for name, what in TIES.items()) + ". By default drop where one is chosen",
        )
        parser.add_argument(
            "--least-probability",
            type=float,
            default=0.0,
            metavar="P",
            help="with --rule dawid_skene: leave out pairs of which it is less sure, as 0.8",
        )
        parser.add_argument(
            "--test-share", type=float, default=0.0, metavar="SHARE", help="of the prompts, for a split test; 0 to 0.5"
        )
        parser.add_argument("--seed", type=int, default=0, help="of the draw of the split test")
        parser.add_argument(
            "--near-duplicates",
            type=float,
            default=0.0,
            metavar="SIMILARITY",
            help="drop the later of two pairs that are so similar, as 0.8; 0 drops none",
        )
        parser.add_argument(
            "--quota", action="append", default=[], metavar="TAG=N", help="at most N pairs with this tag; repeatable"
        )
        parser.add_argument(
            "--subset",
            type=int,
            default=0,
            metavar="N",
            help="at most N pairs, those that say the most by greedy log-determinant gain; 0 keeps all",
        )
        parser.add_argument(
            "--embedding",
            default=NGRAMS,
            metavar="NAME",
            help=f"by which vectors: {NGRAMS}, or a model whose embeddings were measured",
        )
        parser.add_argument(
            "--cut",
            action="append",
            default=[],
            metavar="SHARE",
            help="a config with this share of the easiest pairs, from easy to hard, as 0.5; or small=MODEL:0.5, those "
            "easiest for that model; repeatable",
        )
        parser.add_argument(
            "--difficulty", default=DIFFICULTY, metavar="METRIC", help=f"what is difficult: {', '.join(HARDER)}"
        )
        parser.add_argument(
            "--difficulty-model",
            default="",
            metavar="MODEL",
            help="for which model it was measured, where a cut names none; by default the one that was measured last",
        )
        parser.add_argument(
            "--most-harmful",
            type=float,
            default=MOST_HARMFUL,
            metavar="SHARE",
            help=f"of the pairs that may be flagged as harmful without a reason; by default {MOST_HARMFUL:g}",
        )
        parser.add_argument(
            "--sign-off", default="", metavar="REASON", help="why a larger share may be flagged as harmful"
        )
        parser.add_argument(
            "--names", action="store_true", help="tell annotators by their names; without it, by pseudonyms"
        )
        parser.add_argument("--licence", default="", metavar="ID", help="for the card, as cc-by-4.0")
        parser.add_argument("--limits", default="", metavar="TEXT", help="known limits, for the card")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that does not exist yet")
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            metavar="N",
            help="write with so many processes; the files are the same, byte for byte",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers is at least 1.")
        try:
            project = project_of(options["project"])
            chosen = saved_as(project=project, name=options["selection"]) if options["selection"] else None
            done = releasing.release(
                project=project,
                version=options["name"],
                where=[*(criteria_in(chosen) if chosen else []), *parse_all(options["where"])],
                rule=options["rule"],
                layout=options["layout"],
                annotators=options["annotators"],
                ties=options["ties"],
                least_probability=options["least_probability"],
                licence=options["licence"],
                limits=options["limits"],
                test_share=options["test_share"],
                seed=options["seed"],
                names=options["names"],
                near_duplicates=options["near_duplicates"],
                quotas=_quotas(options["quota"]),
                subset=options["subset"],
                embedding=options["embedding"],
                cuts=options["cut"],
                difficulty=options["difficulty"],
                difficulty_model=options["difficulty_model"],
                most_harmful=options["most_harmful"],
                sign_off=options["sign_off"],
                selection=chosen,
                out=options["out"],
                workers=options["workers"],
                command="release",
            )
        except Refused as error:
            raise CommandError(str(error)) from error
        release, manifest = done.release, done.release.manifest
        if options["json"]:
            said = {
                "release": release.version,
                "is_new": done.is_new,
                "folder": str(options["out"]),
                "digest": release.digest,
            }
            shown = {key: manifest[key] for key in ("pairs", "rows", "steps", "subset", "agreement", "files")}
            self.stdout.write(json.dumps({**said, **shown}, ensure_ascii=False, indent=2))
            return
        steps = [f"  {step['removed']:>9,} removed: {step['name']}" for step in manifest["steps"] if step["removed"]]
        lines = [
            f"  {manifest['pairs']:>9,} pairs in the project",
            *steps,
            f"  {manifest['chosen']:>9,} pairs chosen",
            f"  {manifest['rows']:>9,} rows in {options['out']}",
            *_subset(manifest["subset"]),
        ]
        first = (
            f"Released {release.version}."
            if done.is_new
            else f"{release.version} was released already, with the same content."
        )
        self.stdout.write("\n".join([first, *lines, f"Digest {release.digest}"]))


def _subset(told: dict[str, Any] | None) -> list[str]:
    return (
        [f"They hold {told['share']:.1%} of what the {told['of']:,} before say, by {told['embedding']}."]
        if told
        else []
    )


def _quotas(texts: list[str]) -> dict[str, int]:
    quotas = {}
    for text in texts:
        tag, _, most = text.rpartition("=")
        if not tag or not (most.isascii() and most.isdecimal() and len(most) <= 9):
            raise Refused(f"{text!r} is not a quota. Write tag and number, as code=500.")
        quotas[tag] = int(most)
    return quotas
