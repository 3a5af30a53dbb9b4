"""The losses of all measured pairs, ranked once -> the percentiles of some of them.

A gathering that is divided has parts that each know a range of pairs, and a percentile needs all: without this each
part would rank every loss anew, twenty times for a million pairs. The numbers are those of curation/tabulating.py.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from annotation.models import Project
from curation import arrays
from curation.models import FactsArray

# What they are kept under between the parts of one gathering; nobody reads them afterwards.
KEY = "losses"

_MEASURED = """
    SELECT m.pair_id, m.value FROM measurement m JOIN pair p ON p.id = m.pair_id AND p.excluded_at IS NULL
    WHERE m.run_id = %s AND m.metric = %s AND m.value IS NOT NULL"""


def keep(*, project: Project, loss: tuple[int, str], version: int) -> None:
    """Rank the losses of all pairs in play, for the gathering that makes this version of the facts."""
    found = arrays.columns(_MEASURED, loss, {"pair_id": pa.int64(), "value": pa.float64()})
    body = np.sort(found["value"]).astype("<f8").tobytes()
    FactsArray.objects.update_or_create(project=project, key=KEY, defaults={"version": version, "body": body})


def within(
    span: tuple[int, int], *, project: Project, loss: tuple[int, str], version: int
) -> list[tuple[int, float, float]] | None:
    """Pair, loss and percentile (0 easy, 1 hard) of each measured pair in a range of numbers, both ends included.

    Pairs of one loss share the middle of their places. None: nobody ranked them for this version.
    """
    kept = FactsArray.objects.filter(project=project, key=KEY, version=version).values_list("body", flat=True).first()
    if kept is None:
        return None
    ranked = np.frombuffer(bytes(kept), dtype="<f8")
    kinds = {"pair_id": pa.int64(), "value": pa.float64()}
    found = arrays.columns(f"{_MEASURED} AND m.pair_id BETWEEN %s AND %s", [*loss, *span], kinds)
    below, above = (np.searchsorted(ranked, found["value"], side=side) for side in ("left", "right"))
    # A pair that was put back into play meanwhile is not among them: its place is between its neighbours'.
    shares = (below + above) / 2 / max(len(ranked), 1)
    return list(zip(found["pair_id"].tolist(), found["value"].tolist(), shares.tolist(), strict=True))
