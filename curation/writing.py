"""Plan -> the files of a release: shards, card, manifest and checksums, all read in one snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.running import Hold
from curation.choosing import Chosen, check_harm, choose
from curation.export import files
from curation.export.card import card
from curation.hearing import heard_by, missed_by
from curation.lineage import InForce, Lineage, lineage_of, tallies_digest, title_and_guideline
from curation.metrics.agreement import krippendorff_alpha_of_counts
from curation.planning import Plan
from curation.preserving import out_of_play, preserve, provenance, to_preserve
from curation.reading import snapshot
from curation.sharding import is_shared, shards_of, write_here, write_together

# The card's intervals: the same judgements must give the same bytes.
SEED = 0


def write(
    hold: Hold,
    asked: Plan,
    folder: Path,
    *,
    progress: Callable[[int, int], None],
    promised: int | None,
    workers: int | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write all files of the release into `folder`; return its manifest, and what its snapshot missed.

    Args:
        hold: the run, whose parts other processes may do.
        progress: called with rows written and rows in all.
        promised: how many pairs somebody was told; with another number nothing is released.
        workers: how many processes of this one's own write; None: the queue's, as many as come.

    Raises:
        Refused: too many pairs are flagged as harmful, or there are not as many as promised; and as the shards.
        Broken: a row would mislead a trainer.
    """
    with snapshot() as reader:
        chosen = choose(asked, using=reader)
        if promised is not None and promised != len(chosen.pairs):
            raise Refused(
                f"{promised:,} pairs were counted when this release was asked for, and now it would hold "
                f"{len(chosen.pairs):,}: judgements came in between. Nothing was released. Count again."
            )
        check_harm(asked, chosen)
        out = int(out_of_play(asked.criteria, chosen.facts.passes).sum())
        faded = to_preserve(asked.criteria, out=out)
        # Before the rows: reading these looks pairs up one by one, which is no way to count.
        title, guideline = title_and_guideline(asked, using=reader)
        lineage = lineage_of(chosen, using=reader)
        manifest = _manifest(asked, chosen, guideline, lineage, using=reader, code_version=hold.run.code_version)
        manifest |= {"out_of_play": out, "facts": provenance(asked.project, faded, using=reader)}
        missed = missed_by(asked, using=reader)
        kept = preserve(faded, pairs=chosen.facts.pair, folder=folder, using=reader)
        # Every judgement by itself has been counted, and takes as much memory as all else together.
        chosen = replace(chosen, said=chosen.said.none())
        shards = shards_of(asked, chosen)
        total = sum(shard.rows for shard in shards)
        progress(0, total)
        if workers == 1 or not is_shared(shards):
            written = write_here(
                asked, chosen, shards, folder=folder, using=reader, progress=_counting(progress, total)
            )
        else:
            written = write_together(
                hold,
                asked,
                chosen,
                shards,
                folder=folder,
                using=reader,
                progress=progress,
                is_local=workers is not None,
            )
    entries = [*(one.entry for one in written), *([kept] if kept else [])]
    sizes = dict.fromkeys(chosen.splits, 0)
    manifest["splits"] = dict.fromkeys(chosen.splits, 0)
    for shard, one in zip(shards, written, strict=True):
        sizes[shard.split] += one.arrow_bytes
        manifest["splits"][shard.split] += one.entry.rows
    manifest["rows"] = sum(
        rows for split, rows in manifest["splits"].items() if split.startswith(f"{asked.layout.name}/")
    )
    manifest["files"] = [one.as_json() for one in entries]
    guidelines = lineage.texts | ({str(guideline.version): guideline.text} if guideline.version else {})
    text = card(manifest, title=title, guidelines=guidelines, arrow_bytes=sizes)
    readme = files.write_text(folder, files.CARD, text)
    manifest["files"].append(readme.as_json())
    described = files.write_text(folder, files.MANIFEST, files.canonical(manifest))
    files.write_sums(folder, [*entries, readme, described])
    return manifest, missed


def _counting(progress: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        progress(done, total)

    return count


def _manifest(
    asked: Plan, chosen: Chosen, guideline: InForce, lineage: Lineage, *, using: BaseDatabaseWrapper, code_version: str
) -> dict[str, Any]:
    """What decides the release and what came of it. No times, no paths, nothing that differs when it is rebuilt."""
    facts = chosen.facts
    return {
        "format": files.FORMAT,
        "project": asked.project.slug,
        "version": asked.version,
        "layout": asked.layout.name,
        "rule": asked.rule,
        "voices": asked.annotators,
        "criteria": [one.text for one in asked.where],
        "pairs": len(facts),
        "chosen": len(chosen.pairs),
        "ties": asked.ties,
        "least_probability": asked.least_probability,
        "test_share": asked.test_share,
        "seed": asked.seed,
        "names": asked.names,
        "near_duplicates": asked.near_duplicates,
        "quotas": dict(asked.quotas),
        "subset": chosen.subset.told if chosen.subset else None,
        "cuts": chosen.cuts,
        "harmful": {
            "pairs": chosen.harmful,
            "most": asked.most_harmful,
            "sign_off": asked.sign_off,
            "by": asked.signed_by,
            "through": chosen.flags_through,
        },
        "adjudicated": {"pairs": chosen.adjudicated, "through": chosen.rulings_through},
        "heard": heard_by(asked, using=using).as_json(),
        "steps": [{"name": step.name, "removed": step.removed, "left": step.left} for step in chosen.sieve.steps],
        "judgements": {
            "counted": int(facts.judgements.sum()),
            "through": lineage.through,
            "sha256": tallies_digest(facts),
        },
        "annotators": lineage.annotators,
        "agreement": {
            "selected": _alpha(facts.counts_in_the_file(chosen.selected)),
            "released": _alpha(facts.counts_in_the_file(chosen.pairs)),
        },
        "guideline": {
            "version": guideline.version,
            "sha256": files.digest_of(guideline.text) if guideline.version else None,
            "judged_under": lineage.guidelines,
            "judged_under_sha256": {version: files.digest_of(text) for version, text in lineage.texts.items()},
        },
        "licence": asked.licence,
        "limits": asked.limits,
        "code_version": code_version,
        "writer": {"pyarrow": pa.__version__, "group_rows": files.GROUP_ROWS, "shard_rows": files.SHARD_ROWS},
        "schema": [{"name": field.name, "type": str(field.type)} for field in asked.schema],
    }


def _alpha(counts: NDArray[np.int32]) -> dict[str, Any]:
    return krippendorff_alpha_of_counts(counts, rng=np.random.default_rng(SEED)).as_json()
