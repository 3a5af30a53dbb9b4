"""Every pair of a project with the tallies of its judgements, and every judgement that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays.crossing import columns, places_in
from curation.arrays.sayings import LABELS, SKIP, TURNED
from curation.criteria import Criterion
from curation.selecting import pairs_heard, pairs_sql
from curation.voices import Voices


@dataclass(frozen=True)
class PairFacts:
    """What is known of every pair of a project, in the order of their numbers. All arrays have the shape (n_pairs,).

    `counts` has the shape (n_pairs, 4): how often each of `VERDICTS` was given, first and second as the pair has them.
    `turned` says where the file had them the other way round. `passes` has the shape (n_criteria, n_pairs).
    """

    pair: NDArray[np.int64]
    prompt: NDArray[np.int64]
    counts: NDArray[np.int32]
    skips: NDArray[np.int32]
    n_strength: NDArray[np.int32]
    strength_sum: NDArray[np.int32]
    label: NDArray[np.int8]
    empty: NDArray[np.bool_]
    identical: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    passes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def judgements(self) -> NDArray[np.int32]:
        total: NDArray[np.int32] = self.counts.sum(axis=1, dtype=np.int32)
        return total

    def counts_in_the_file(self, chosen: NDArray[Any]) -> NDArray[np.int32]:
        """How often each of `VERDICTS` was given to the chosen pairs, first and second as in the file they came with.

        Shape (n_chosen, 4).
        """
        counts: NDArray[np.int32] = self.counts[chosen]
        turned = self.turned[chosen]
        counts[turned] = counts[turned][:, [1, 0, 2, 3]]
        return counts


@dataclass(frozen=True)
class Voiced:
    """Every judgement that counts, in the order of their numbers. All arrays have the shape (n_judgements,).

    `says` is a code of `VERDICTS` or SKIP; `strength` is -3 to 3, positive for the pair's first, and means nothing
    where `is_known` is false. `guideline` is 0 where there was none.
    """

    judgement: NDArray[np.int64]
    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    guideline: NDArray[np.int64]
    says: NDArray[np.int8]
    strength: NDArray[np.int8]
    is_known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.judgement)

    def none(self) -> Voiced:
        """None of them, so that their memory can go."""
        return Voiced(**{one.name: getattr(self, one.name)[:0].copy() for one in fields(self)})


def voiced(*, project: Project, voices: Voices, using: BaseDatabaseWrapper | None = None) -> Voiced:
    """Read every judgement that counts, in one pass. About 40 bytes each."""
    whose, params = voices.sql()
    # Of a pair that is not there nothing was said.
    there, until = pairs_heard(voices.heard, of="a.pair_id")
    whose, params = f"{whose}{there}", [*params, *until]
    found = columns(
        f"""
        SELECT j.id, a.pair_id, j.annotator_id, j.guideline_id,
               CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 0 ELSE 1 END
                              WHEN 'tie' THEN 2 WHEN 'both_bad' THEN 3 ELSE {SKIP} END * 16
               + (coalesce(j.strength, 0) + 3) * 2 + (j.strength_known AND j.strength IS NOT NULL)::int
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {whose}
        """,
        [project.pk, *params],
        {
            "judgement": pa.int64(),
            "pair": pa.int64(),
            "annotator": pa.int64(),
            "guideline": pa.int64(),
            # Three small numbers as one: a column costs the database as much as a join.
            "code": pa.int16(),
        },
        by="judgement",
        using=using,
    )
    code = found.pop("code")
    found["says"] = (code // 16).astype(np.int8)
    found["strength"] = (code // 2 % 8 - 3).astype(np.int8)
    found["is_known"] = code % 2 == 1
    number = found["judgement"]
    # They come nearly in order, so that this is cheap.
    order = slice(None) if (number[1:] >= number[:-1]).all() else np.argsort(number, kind="stable")
    return Voiced(**{name: column[order] for name, column in found.items()})


def pair_facts(
    *,
    project: Project,
    voices: Voices,
    where: Sequence[Criterion],
    using: BaseDatabaseWrapper | None = None,
    said: Voiced | None = None,
) -> PairFacts:
    """Count the judgements of every pair and try every criterion on it.

    `said` are the judgements of `voices` where they were read already.
    """
    said = said or voiced(project=project, voices=voices, using=using)
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    tried = [one.sql() for one in where]
    label = "CASE p.label " + " ".join(f"WHEN '{name}' THEN {code}" for name, code in LABELS.items()) + " END"
    types: dict[str, pa.DataType] = {"pair": pa.int64(), "prompt": pa.int64(), "label": pa.int8()}
    types |= {name: pa.bool_() for name in ("empty", "identical", "turned")}
    types |= {f"passes_{place}": pa.bool_() for place in range(len(tried))}
    wanted = ["p.id", "p.prompt_id", label, "'empty' = ANY(p.marks)", "'identical' = ANY(p.marks)", TURNED]
    found = columns(
        # Where no criterion speaks of the tallies, the database leaves their counting out by itself.
        f"SELECT {', '.join([*wanted, *(sql for sql, _ in tried)])} {source}",
        [*(value for _, values in tried for value in values), *source_params],
        types,
        by="pair",
        using=using,
    )
    order = np.argsort(found["pair"], kind="stable")
    found = {name: column[order] for name, column in found.items()}
    pairs = found["pair"]
    passes = [found[f"passes_{place}"] for place in range(len(tried))]
    return PairFacts(
        pair=pairs,
        prompt=found["prompt"],
        **_tallies(pairs, said),
        label=found["label"],
        empty=found["empty"],
        identical=found["identical"],
        turned=found["turned"],
        passes=np.array(passes, dtype=bool).reshape(len(tried), len(pairs)),
    )


def _tallies(pairs: NDArray[np.int64], said: Voiced) -> dict[str, NDArray[np.int32]]:
    """How often each verdict was given of each pair, and the strengths that are known."""
    size = len(pairs)
    if not size:
        none = np.zeros(0, dtype=np.int32)
        return {"counts": none.reshape(0, SKIP), "skips": none, "n_strength": none, "strength_sum": none}
    place = places_in(pairs, said.pair)
    counts = np.bincount(place * (SKIP + 1) + said.says, minlength=size * (SKIP + 1)).reshape(size, SKIP + 1)
    known = said.is_known
    strength = np.bincount(place[known], weights=said.strength[known], minlength=size)
    return {
        "counts": counts[:, :SKIP].astype(np.int32),
        "skips": counts[:, SKIP].astype(np.int32),
        "n_strength": np.bincount(place[known], minlength=size).astype(np.int32),
        "strength_sum": strength.astype(np.int32),
    }
