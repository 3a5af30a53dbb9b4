"""A run that embeds pairs: one pass of a model over both candidates of each. Nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Pair
from annotation.running import Hold
from curation.measuring import embeddings
from curation.measuring.embeddings import EmbeddingsRequest
from workers.backends.primitives import CannotAnswer
from workers.opening import open_model
from workers.pacing import Pace
from workers.preferring import Open, conversation, opened, text

if TYPE_CHECKING:
    from workers.backends.transformers_local import Local

PAIRS_AT_ONCE = 32


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the measure "embeddings" and return its result. Run twice, it embeds the same again.

    A pair's vector is the mean of two: of each candidate after the prompt, the mean of the last hidden states of all
    its tokens and the prompt's.

    Raises:
        Refused: its parameters are not possible, the model cannot be used or is asked over an endpoint, or it can read
            no pair.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} does not say what to embed of which project.")
    asked = EmbeddingsRequest.from_parameters(run.parameters)
    pairs = embeddings.embedded_pairs(project=run.project, asked=asked)
    pace = Pace(hold, done=0, total=len(pairs))
    hold.say(f"Loading {asked.model}.")
    backend = opened(asked, open_model)
    if backend.kind != "transformers_local":
        raise Refused(
            f"{asked.model} is asked over an endpoint, which shows no hidden states. Take a model that a worker loads."
        )
    found, cut = _vectors(pace, backend, pairs, asked)  # type: ignore[arg-type]
    read = np.isfinite(found).all(axis=1)
    if not read.any():
        raise Refused(f"{asked.model} can read none of the {len(pairs):,} pairs.")
    width = found.shape[1]
    if width > asked.dimensions:
        found = found @ projection(width, asked.dimensions, rng=np.random.default_rng(run.seed))
    result = {"revision": backend.revision, "width": width, "not_read": int((~read).sum()), "cut": cut}
    return embeddings.store(hold, pairs[read], found[read], result=result)


def projection(width: int, dimensions: int, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """One or minus one, over the root of the dimensions; shape (width, dimensions). Achlioptas, 2003."""
    drawn = rng.integers(0, 2, size=(width, dimensions), dtype=np.int8)
    found: NDArray[np.float32] = ((2.0 * drawn - 1.0) / np.sqrt(dimensions)).astype(np.float32)
    return found


def _vectors(
    pace: Pace, backend: Local, pairs: NDArray[np.int64], asked: EmbeddingsRequest
) -> tuple[NDArray[np.float32], int]:
    """(n_pairs, width), nan for pairs that the model cannot read; and how many candidates were cut."""
    found: NDArray[np.float32] | None = None
    cut = 0
    longest = min(asked.max_length, backend.longest)
    for at, some in _pieces(pairs):
        rows: list[list[int]] = []
        owner: list[int] = []
        for place, pair in enumerate(some):
            try:
                prompt = backend.wording.prompt(conversation(pair))
                both = [prompt + backend.wording.plain(text(one)) for one in (pair.first, pair.second)]
            except CannotAnswer:
                continue
            cut += sum(len(row) > longest for row in both)
            # The end of a prompt, and the answer, say more than how the prompt begins.
            rows += [row[-longest:] for row in both]
            owner += [place, place]
        if rows:
            means = backend.mean_states(rows, beat=pace)
            found = np.full((len(pairs), means.shape[1]), np.nan, dtype=np.float32) if found is None else found
            found[at + np.array(owner[::2])] = (means[::2] + means[1::2]) / 2
        pace.add(len(some))
    return (np.full((len(pairs), 1), np.nan, dtype=np.float32) if found is None else found), cut


def _pieces(pairs: NDArray[np.int64]) -> Iterator[tuple[int, list[Pair]]]:
    for at in range(0, len(pairs), PAIRS_AT_ONCE):
        numbers = pairs[at : at + PAIRS_AT_ONCE].tolist()
        loaded = Pair.objects.select_related("prompt", "first", "second").in_bulk(numbers)
        yield at, [loaded[one] for one in numbers]
