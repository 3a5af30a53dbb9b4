"""Where each pair stands among the others, as a model reads it: the mean of its last hidden states.

A worker reads (workers/embedding.py); the vectors are stored here, and a release may take a subset by them.
"""

from __future__ import annotations

from dataclasses import Field, dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from django.db import connection
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project, Run
from annotation.recording import record
from annotation.running import Hold
from curation import arrays
from curation.measuring.preferred import ModelRequest
from curation.measuring.request import setting
from curation.measuring.storing import asked_of
from curation.models import Embedding
from curation.selecting import chosen_sql


@dataclass(frozen=True, kw_only=True)
class EmbeddingsRequest(ModelRequest):
    """One pass of the model over every candidate. Judgements do not matter, except in a criterion."""

    measure: ClassVar[str] = "embeddings"

    dimensions: int = setting(64, says="numbers kept of each vector; a wider model's are projected, drawn by the seed")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.dimensions <= 4096:
            raise Refused(f"The setting dimensions is 2 to 4096, not {self.dimensions}.")

    @classmethod
    def settings(cls) -> dict[str, Field[Any]]:
        """No candidate is the better one here."""
        return {name: one for name, one in super().settings().items() if name != "preference"}


def embedded_pairs(*, project: Project, asked: EmbeddingsRequest) -> NDArray[np.int64]:
    """The numbers of the pairs that are asked for, ascending, shape (n_pairs,).

    Raises:
        Refused: there is none.
    """
    chosen, params = chosen_sql(project=project.pk, voices=asked.voices, where=asked.where)
    found = arrays.columns(f"SELECT p.id {chosen}", params, {"pair": pa.int64()})["pair"]
    if not len(found):
        raise Refused("No pair meets these criteria, so there is nothing to embed.")
    return np.sort(found)


def store(
    hold: Hold, pairs: NDArray[np.int64], vectors: NDArray[np.float32], *, result: dict[str, Any]
) -> dict[str, Any]:
    """Store a vector for each pair, those of the same run before it replaced. Returns the run's result.

    Args:
        pairs: (n_pairs,), those that the model could read.
        vectors: (n_pairs, n_dimensions), finite.
        result: what else the run's result says, its revision among it.

    Raises:
        Superseded: another worker has the run now.
    """
    run = hold.run
    dimensions = vectors.shape[1]
    with hold.fenced():
        Embedding.objects.filter(run=run).delete()
        statement = "COPY embedding (run_id, pair_id, dimensions, vector) FROM STDIN (FORMAT binary)"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int8", "int8", "int2", "bytea"])
            for pair, vector in zip(pairs.tolist(), vectors.astype("<f4"), strict=True):
                copy.write_row((run.pk, pair, dimensions, vector.tobytes()))
        record(
            act="measure", subject=f"run {run.pk}: embeddings", actor=run.started_by, command="measure",
            project=run.project,
        )  # fmt: skip
    return {"pairs": len(pairs), "dimensions": dimensions, **result}


def report(run: Run) -> dict[str, Any]:
    """What a run stored, as JSON values."""
    return asked_of(run)


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    width = found["width"]
    kept = f"{width}" if width == found["dimensions"] else f"{width}, projected to {found['dimensions']}"
    return "\n".join(
        [
            f"{found['pairs']} pairs embedded with {found['model']} (run {found['run']}), {kept} dimensions.",
            f"It could not read {found['not_read']}, and read {found['cut']} from after their beginning.",
            f"Take a subset by them: manage.py release NAME --subset N --embedding {found['model']}",
        ]
    )
