"""A run of difficulty -> how far its order of pairs can be gone by, wherever that order is shown."""

from __future__ import annotations

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


def trust_in(run: int | None, *, using: BaseDatabaseWrapper | None = None) -> float | None:
    """Spearman's correlation between the trainings of a run, -1 to 1; None: it has none, or there is no run.

    A run that trained once cannot say it, and what is asked of a model without training has nothing to compare.
    """
    if run is None:
        return None
    with (using or connection).cursor() as cursor:
        cursor.execute("SELECT value FROM measurement WHERE run_id = %s AND metric = 'between_run_spearman'", [run])
        found = cursor.fetchone()
    return found[0] if found else None


def in_words(trust: float | None) -> str:
    """What the figure says of the order; empty where there is none."""
    if trust is None:
        return ""
    if trust >= 0.7:
        return "The seeds order the pairs much alike: the order can be gone by."
    if trust >= 0.4:
        return "The seeds agree on the ends and not on the middle: go by the top and bottom tenths."
    return "The seeds hardly agree: do not go by this order. More pairs, more steps or a higher learning rate may help."
