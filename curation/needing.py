"""Layouts that are made of more than judgements -> of how many rows of a pair they are made."""

from __future__ import annotations

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation import edits, marks
from curation.arrays import places_in
from curation.export.layouts import Layout
from curation.voices import Voices


class Lacking(Refused):
    """The project has nothing of what a layout is made of. `option` is what to change, as `plan` takes it."""

    option = "layout"


def rows_made(
    layout: Layout, *, project: Project, voices: Voices, pairs: NDArray[np.int64], using: BaseDatabaseWrapper
) -> NDArray[np.int64]:
    """How many rows the layout has of each pair, shape (n_pairs,): one for each highlighted answer, or each edit.

    Args:
        layout: one that `needs` something.
        pairs: their numbers, ascending.

    Raises:
        Lacking: it has none of any of them.
    """
    look, what = (
        (marks.with_marks, "parts of answers that annotators highlighted as a strength or as a fault")
        if layout.marks
        else (edits.with_edits, "answers that annotators edited")
    )
    each = np.zeros(len(pairs), dtype=np.int64)
    for side in look(project=project, voices=voices, using=using):
        here = side[np.isin(side, pairs)]
        np.add.at(each, places_in(pairs, here), 1)
    if not each.any():
        raise Lacking(
            f"The layout {layout.name} is made of {what}, and the annotators who count have left none in this project. "
            "Ask them for some, let others count, or take another layout."
        )
    return each
