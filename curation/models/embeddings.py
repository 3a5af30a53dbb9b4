"""Where each pair stands among the others, as a model has it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact


class Embedding(models.Model):
    """The vector of one pair by one run, which knows model, revision, seed and code version.

    `vector` holds `dimensions` numbers of four bytes, little end first. All vectors of a run have as many.
    """

    run = models.ForeignKey("annotation.Run", on_delete=models.CASCADE, related_name="embeddings", db_index=False)
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="embeddings")
    dimensions = models.PositiveSmallIntegerField()
    vector = models.BinaryField()

    class Meta:
        db_table = "embedding"
        constraints = [
            models.UniqueConstraint(fields=["run", "pair"], name="one_embedding_per_run_and_pair"),
            models.CheckConstraint(
                condition=Q(dimensions__gt=0)
                & Q(
                    Exact(
                        models.Func(F("vector"), function="octet_length", output_field=models.IntegerField()),
                        F("dimensions") * 4,
                    )
                ),
                name="vector_has_its_dimensions",
            ),
        ]

    def __str__(self) -> str:
        return f"Pair {self.pair_id} in {self.dimensions} dimensions"
