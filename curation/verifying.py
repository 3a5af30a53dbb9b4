"""Release -> is it still what was released, and does every row follow from the judgements?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.models import Project
from curation.choosing import choose, plan, snapshot, tallies_digest
from curation.export import files
from curation.selecting import parse_all


def verify(folder: Path) -> list[str]:
    """What is wrong with a release, as sentences: changed files, and rows whose inclusion cannot be derived again.

    Its inclusion is derived from the judgements up to the last one that it counted. Empty: every byte is as released,
    and every row follows from the judgements.
    """
    problems = files.wrong_files(folder)
    manifest = files.manifest_in(folder)
    if manifest is None:
        return problems
    project = Project.objects.filter(slug=manifest["project"]).first()
    if project is None:
        return [*problems, f"The project {manifest['project']} is not here, so no row can be derived again."]
    asked = plan(
        project=project,
        version=manifest["version"],
        where=parse_all(manifest["criteria"]),
        rule=manifest["rule"],
        layout=manifest["layout"],
        annotators=manifest["voices"],
    )
    with snapshot() as reader:
        chosen = choose(replace(asked, through=manifest["judgements"]["through"]), using=reader)
    if tallies_digest(chosen.facts) != manifest["judgements"]["sha256"]:
        return [
            *problems,
            "Pairs or judgements that were counted have been added, revised or withdrawn since: "
            "what was released cannot be derived from what is current.",
        ]
    expected = dict(zip(chosen.facts.pair[chosen.rows].tolist(), chosen.first_wins.tolist(), strict=True))
    return [*problems, *_wrong_rows(folder, manifest, expected)]


def _wrong_rows(folder: Path, manifest: dict[str, Any], expected: dict[int, bool]) -> list[str]:
    problems = []
    seen: set[int] = set()
    for one in manifest["files"]:
        path = folder / one["path"]
        if path.suffix != ".parquet" or not path.is_file():
            continue
        try:
            rows = pq.read_table(path, columns=["pair_id", "chosen_side"])
        except pa.ArrowInvalid:
            problems.append(f"{one['path']} cannot be read.")
            continue
        for pair, side in zip(rows["pair_id"].to_pylist(), rows["chosen_side"].to_pylist(), strict=True):
            if pair in seen:
                problems.append(f"Pair {pair} is there twice.")
            seen.add(pair)
            if pair not in expected:
                problems.append(f"Pair {pair} is in the release and should not be.")
            elif expected[pair] != (side == "first"):
                problems.append(f"Pair {pair} has the wrong answer as chosen.")
    problems += [f"Pair {pair} is missing." for pair in expected if pair not in seen]
    return problems
