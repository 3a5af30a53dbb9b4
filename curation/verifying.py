"""Release -> is it still what was released, and does every row follow from the judgements?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db.backends.base.base import BaseDatabaseWrapper

from annotation.models import Project
from curation.choosing import Chosen, choose, is_too_harmful, lines_of, pieces_of
from curation.criteria import parse_all
from curation.cutting import Cut
from curation.export import files
from curation.export.layouts import LAYOUTS
from curation.hearing import as_then
from curation.lineage import tallies_digest
from curation.models import Release
from curation.planning import DIFFICULTY, MOST_HARMFUL, Plan, plan
from curation.preserving import FILE, preserved, to_preserve
from curation.reading import shown_annotators, snapshot, texts
from curation.subsetting import NGRAMS, NoVectors
from curation.voices import NONE_MISSED, Heard, Missed


def verify(folder: Path) -> list[str]:
    """What is wrong with a release, as sentences: changed files, and rows whose inclusion cannot be derived again.

    Everything is derived again from the judgements up to the last one that was counted: first which pairs are in which
    split with which answer, then each row whole. Empty: every byte is as released, and every row follows.
    """
    problems = files.wrong_files(folder)
    try:
        manifest = files.manifest_in(folder)
    except files.OtherFormat:
        return problems
    if manifest is None:
        return problems
    missing = [key for key in files.KEYS if key not in manifest]
    if missing:
        return [*problems, f"{files.MANIFEST} does not say {', '.join(missing)}, so no row can be derived again."]
    project = Project.objects.filter(slug=manifest["project"]).first()
    if project is None:
        return [*problems, f"The project {manifest['project']} is not here, so no row can be derived again."]
    made = Release.objects.filter(project=project, version=manifest["version"]).first()
    if made is not None and made.digest != files.digest_of(manifest):
        problems.append(
            f"{files.MANIFEST} is not that of the release {made.version} as it was made here, whose digest is "
            f"{made.digest}."
        )
    try:
        asked = plan_of(manifest, project, folder)
    except Unknown as error:
        return [*problems, str(error)]
    with snapshot() as reader:
        asked = as_then(asked, using=reader)
        try:
            chosen = choose(asked, using=reader)
        except NoVectors:
            return [
                *problems,
                f"The embeddings of run {asked.embedding_run} are not here any more, so that its subset cannot be "
                "taken again.",
            ]
        if tallies_digest(chosen.facts) != manifest["judgements"]["sha256"]:
            return [
                *problems,
                "Pairs or judgements that would have counted have been added since, or are not here any more: "
                "what was released cannot be derived from what is here.",
            ]
        found = _wrong_pairs(folder, manifest, chosen)
        found = found or _wrong_rows(folder, manifest, asked, chosen, using=reader)
    if is_too_harmful(asked, chosen) and not asked.sign_off:
        problems.append(
            f"{chosen.harmful:,} of {len(chosen.pairs):,} pairs are flagged as harmful, more than the share of "
            f"{asked.most_harmful:g} that the manifest allows, and it names no reason."
        )
    return [*problems, *found, *_wrong_counts(manifest, chosen)]


def _wrong_counts(manifest: dict[str, Any], chosen: Chosen) -> list[str]:
    """Counts that the manifest names and that come out otherwise."""
    problems = []
    told = manifest["harmful"]["pairs"]
    if told != chosen.harmful:
        problems.append(
            f"The manifest says that {told:,} of the pairs are flagged as harmful, and {chosen.harmful:,} are. "
            "A flag may have been taken back since."
        )
    steps = [{"name": step.name, "removed": step.removed, "left": step.left} for step in chosen.sieve.steps]
    if manifest["steps"] != steps or manifest["chosen"] != len(chosen.pairs):
        problems.append("The steps of the manifest are not those that choosing again takes.")
    if manifest.get("subset") != (chosen.subset.told if chosen.subset else None):
        problems.append("What the manifest says of its subset is not what taking it again gives.")
    # Releases from before a cut named its model did not.
    cuts = {config: {**chosen.cuts.get(config, {}), **cut} for config, cut in manifest["cuts"].items()}
    if cuts != chosen.cuts:
        problems.append("The cuts by difficulty of the manifest are not those that choosing again makes.")
    return problems


class Unknown(Exception):
    """A release cannot be derived again here. The text says why."""


def plan_of(manifest: dict[str, Any], project: Project, folder: Path) -> Plan:
    """What the release in `folder` was asked for, with what it found then: the last judgement, the measurement, its
    salt, the facts.

    Raises:
        Unknown: its pseudonyms cannot be made again, or the facts that its criteria read are gone.
        Refused: this code does not know what was asked for.
    """
    cuts = list(manifest["cuts"].values())
    # Releases from before there were subsets have none.
    subset = manifest.get("subset") or {"budget": 0, "embedding": NGRAMS, "run": None}
    asked = plan(
        project=project,
        version=manifest["version"],
        where=parse_all(manifest["criteria"]),
        **{key: manifest[name] for key, name in _ASKED.items()},
        cuts=[_cut(cut) for cut in cuts],
        difficulty=cuts[0]["metric"] if cuts else DIFFICULTY,
        subset=subset["budget"],
        embedding=subset["embedding"],
        most_harmful=manifest["harmful"].get("most", MOST_HARMFUL),
        sign_off=manifest["harmful"]["sign_off"],
    )
    made = Release.objects.filter(project=project, version=manifest["version"]).first()
    if made is None and asked.layout.tells and not asked.names:
        raise Unknown(f"{manifest['version']} is not known here, so its pseudonyms cannot be made again.")
    # Releases from before they counted it go by what is out of play now.
    out = manifest.get("out_of_play")
    return replace(
        asked,
        through=manifest["judgements"]["through"],
        flags_through=manifest["harmful"]["through"],
        # Releases from before there were rulings have none.
        rulings_through=manifest.get("adjudicated", {"through": 0})["through"],
        # Releases from before they said how far they had heard go by all that there is.
        heard=Heard(**manifest.get("heard", {}), missed=Missed(**made.missed) if made else NONE_MISSED),
        preserved=_preserved(folder, asked, out=out) if manifest.get("facts") else None,
        out_of_play=out,
        salt=made.salt if made else "",
        embedding_run=subset["run"],
    )


def _cut(told: dict[str, Any]) -> Cut:
    """By the run that the manifest names. Releases from before a cut named its own model gave none a name."""
    name = told.get("name", "")
    return Cut(told["share"], name, told["model"] if name else "", run=told["run"])


def _preserved(folder: Path, asked: Plan, *, out: int | None) -> pa.Table:
    try:
        return preserved(folder, to_preserve(asked.criteria, out=out))
    except (OSError, pa.ArrowInvalid) as error:
        raise Unknown(
            f"{FILE} cannot be read. Without the facts that the criteria went by, no row can be derived again."
        ) from error


# How a manifest calls what `plan` takes.
_ASKED = {
    "rule": "rule",
    "layout": "layout",
    "annotators": "voices",
    "ties": "ties",
    "least_probability": "least_probability",
    "test_share": "test_share",
    "seed": "seed",
    "names": "names",
    "near_duplicates": "near_duplicates",
    "quotas": "quotas",
}


def _shards(folder: Path, manifest: dict[str, Any], split: str) -> list[Path]:
    return [folder / one["path"] for one in manifest["files"] if one["path"].startswith(f"{split}-")]


def _wrong_pairs(folder: Path, manifest: dict[str, Any], chosen: Chosen) -> list[str]:
    """Pairs that are missing, too many, in the wrong split or turned round, by their numbers alone."""
    problems = []
    wins = dict(zip(chosen.facts.pair[chosen.rows].tolist(), chosen.first_wins.tolist(), strict=True))
    # Ties in both orders are there twice; their rows are compared whole below.
    twice = set(chosen.facts.pair[chosen.rows[1:][chosen.rows[1:] == chosen.rows[:-1]]].tolist())
    for split, rows in chosen.splits.items():
        expected = set(chosen.facts.pair[chosen.rows[rows]].tolist())
        seen: set[int] = set()
        for path in _shards(folder, manifest, split):
            if not path.is_file():
                continue
            try:
                there = pq.ParquetFile(path)
                names = [name for name in ("pair_id", "pair_ids", "chosen_side") if name in there.schema_arrow.names]
                table = there.read(columns=names)
            except pa.ArrowInvalid:
                problems.append(f"{path.relative_to(folder)} cannot be read.")
                continue
            numbers = table[names[0]].combine_chunks()
            pairs = (numbers.flatten() if names[0] == "pair_ids" else numbers).to_pylist()
            # A pair has a row for each of its edits; these are compared whole below.
            is_once = ("chosen_side" in names or names[0] == "pair_ids") and not LAYOUTS[manifest["layout"]].mends
            sides = table["chosen_side"].to_pylist() if "chosen_side" in names else [None] * len(pairs)
            for pair, side in zip(pairs, sides, strict=True):
                if is_once and pair in seen and pair not in twice:
                    problems.append(f"Pair {pair} is there twice.")
                seen.add(pair)
                if pair not in expected:
                    problems.append(f"Pair {pair} is in the release and should not be.")
                elif side is not None and pair not in twice and wins[pair] != (side == "first"):
                    problems.append(f"Pair {pair} has the wrong answer as chosen.")
        problems += [f"Pair {pair} is missing." for pair in sorted(expected - seen)]
    return problems


def _wrong_rows(
    folder: Path, manifest: dict[str, Any], asked: Plan, chosen: Chosen, *, using: BaseDatabaseWrapper
) -> list[str]:
    """Whole rows that are not what the database gives, each file's first."""
    problems = []
    shown = shown_annotators(asked, using=using)
    for split in chosen.splits:
        pieces = pieces_of(asked, chosen, split)
        size = files.SHARD_ROWS // files.GROUP_ROWS
        for place, path in enumerate(_shards(folder, manifest, split)):
            mine = pieces[place * size : (place + 1) * size]
            there = pq.read_table(path, schema=asked.schema, partitioning=None)
            start = 0
            lines = (lines_of(chosen, piece) for piece in mine)
            found = texts(
                lines,
                voices=asked.voices,
                shown=shown,
                marked=asked.layout.marks,
                edited=asked.layout.edits,
                ranked=asked.layout.by_prompt,
                using=using,
            )
            for rows in found:
                built = pa.Table.from_batches([asked.build(rows)])
                given = there.slice(start, built.num_rows)
                start += built.num_rows
                if not given.equals(built):
                    wrong = next(
                        (
                            n
                            for n in range(min(len(given), len(built)))
                            if not given.slice(n, 1).equals(built.slice(n, 1))
                        ),
                        min(len(given), len(built)),
                    )
                    problems.append(
                        f"Row {start - built.num_rows + wrong + 1} of {path.relative_to(folder)} "
                        "is not what judgements and texts give."
                    )
                    break
            else:
                if start != there.num_rows:
                    problems.append(f"{path.relative_to(folder)} has rows that no judgement gives.")
    return problems
