"""Pairs -> the few under a budget that say the most: their vectors, the choice, and what a release tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project, Run
from curation import ngrams
from curation.budgeting import sizes_up_to
from curation.models import Embedding
from curation.spread import centred, greedy, information
from curation.texts import whole_texts

NGRAMS = "ngrams"
# How rare a run of characters is, is learned from so many pairs, evenly spaced; from all where there are no more.
SAMPLE = 5_000

# The texts of the pairs with these numbers, in order, in batches.
Read = Callable[[NDArray[np.int64]], Iterator[list[str]]]


class NoVectors(Refused):
    """Nothing has embedded the pairs. `option` is what to change, as `plan` takes it."""

    option = "embedding"


@dataclass(frozen=True)
class Vectors:
    """A vector for each pair, (n_pairs, n_dimensions), those of pairs without one 0; `known` says which have one.

    `told` is where they come from, for the manifest.
    """

    values: NDArray[np.float32]
    known: NDArray[np.bool_]
    told: dict[str, Any]


@dataclass(frozen=True)
class Subset:
    """`kept` are places in the order in which they were taken, `known` those that could be. `points` belong to `known`.

    `told` is what manifest and card say.
    """

    kept: NDArray[np.int64]
    known: NDArray[np.int64]
    points: NDArray[np.float32]
    told: dict[str, Any]


def subset(
    *,
    project: Project,
    budget: int,
    embedding: str,
    run: int | None,
    seed: int,
    pairs: NDArray[np.int64],
    rows: NDArray[np.int64],
    using: BaseDatabaseWrapper,
) -> Subset:
    """Of the pairs at `rows` (places in `pairs`, ascending), the `budget` that say the most by their vectors.

    Memory: two vectors of each pair, 512 bytes for n-grams.

    Raises:
        NoVectors: `embedding` names a model, and no finished run (or not `run`) has embedded these pairs with it.
    """
    if embedding == NGRAMS:
        found = by_ngrams(pairs[rows], seed=seed, read=partial(whole_texts, using=using))
    else:
        found = by_model(project=project, model=embedding, run=run, pairs=pairs[rows], using=using)
    known = rows[found.known]
    points = centred(found.values[found.known])
    taken = greedy(points, budget=budget)
    whole = information(points)
    sizes = sizes_up_to(len(taken.order))
    held = [round(one / whole, 6) if whole else 0.0 for one in taken.information(sizes)]
    told = {
        "budget": budget,
        "embedding": embedding,
        **found.told,
        "dimensions": points.shape[1],
        "of": len(known),
        "share": held[-1] if held else 0.0,
        "curve": [[size, share] for size, share in zip(sizes, held, strict=True)],
    }
    return Subset(known[taken.order], known, points, told)


def by_ngrams(pairs: NDArray[np.int64], *, seed: int, read: Read) -> Vectors:
    """Hashed n-grams of prompt and both answers. Two passes over the texts: how rare a run is must be known first."""
    count = len(pairs)
    some = pairs[np.unique(np.linspace(0, max(count - 1, 0), min(SAMPLE, count)).astype(np.int64))]
    within = np.zeros(ngrams.PLACES, dtype=np.int64)
    for texts in read(some):
        within += ngrams.texts_with(ngrams.counts(texts))
    rarity = ngrams.rarity(within, texts=len(some))
    signs = ngrams.signs(rng=np.random.default_rng(seed))
    values = np.zeros((count, ngrams.DIMENSIONS), dtype=np.float32)
    done = 0
    for texts in read(pairs):
        values[done : done + len(texts)] = ngrams.vectors(ngrams.counts(texts), rarity=rarity, signs=signs)
        done += len(texts)
    told = {"version": ngrams.VERSION, "run": None, "model": "", "revision": "", "code_version": ""}
    return Vectors(values, np.ones(count, dtype=bool), told)


def by_model(
    *, project: Project, model: str, run: int | None, pairs: NDArray[np.int64], using: BaseDatabaseWrapper
) -> Vectors:
    """What the latest finished run (or `run`) of this model stored of each pair. `pairs` ascend.

    Raises:
        NoVectors: there is none.
    """
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.result ->> 'revision', (r.result ->> 'dimensions')::int, r.code_version FROM run r"
            " WHERE r.project_id = %s AND r.state = 'done' AND r.parameters ->> 'measure' = 'embeddings'"
            " AND r.parameters ->> 'model' = %s AND (%s::bigint IS NULL OR r.id = %s)"
            " AND EXISTS (SELECT FROM embedding e WHERE e.run_id = r.id) ORDER BY r.id DESC LIMIT 1",
            [project.pk, model, run, run],
        )
        latest = cursor.fetchone()
        if latest is None:
            raise NoVectors(
                f"No finished run has embedded this project's pairs with {model!r}. Run manage.py measure embeddings "
                f"--project {project.slug} --set model=NAME first, or take the embedding {NGRAMS}."
            )
        number, revision, dimensions, code_version = latest
        cursor.execute("SELECT pair_id, vector FROM embedding WHERE run_id = %s ORDER BY pair_id", [number])
        values = np.zeros((len(pairs), dimensions), dtype=np.float32)
        known = np.zeros(len(pairs), dtype=bool)
        while found := cursor.fetchmany(10_000):
            numbers = np.array([pair for pair, _ in found], dtype=np.int64)
            here = np.isin(numbers, pairs)
            places = np.searchsorted(pairs, numbers[here])
            flat = np.frombuffer(b"".join(bytes(vector) for _, vector in found), dtype="<f4")
            values[places] = flat.reshape(len(found), dimensions)[here]
            known[places] = True
    told = {"version": "", "run": number, "model": model, "revision": revision or "", "code_version": code_version}
    return Vectors(values, known, told)


def embedded_models(project: Project) -> list[str]:
    """The models whose finished runs have embedded pairs of a project, by name. One query."""
    stored = Exists(Embedding.objects.filter(run=OuterRef("pk")))
    runs = project.runs.filter(stored, state=Run.State.DONE, parameters__measure="embeddings")
    return sorted(set(runs.values_list("parameters__model", flat=True)))
