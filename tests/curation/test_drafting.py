"""What a draft shows of what it would release: the pairs nearest the line that its selection draws."""

from __future__ import annotations

from typing import Any

import pytest

from curation.criteria import parse_all
from curation.drafting import Counted, count
from curation.models import PairFact
from curation.planning import plan

pytestmark = pytest.mark.usefixtures("same_connection")


def counted(project: Any, *texts: str) -> Counted:
    """A draft of what the selection with these criteria holds, and nothing asked beside it."""
    where = parse_all(texts)
    return count(
        plan(project=project, version="v1", where=where, rule="soft", layout="soft"), selection=where, least=[]
    )


def test_without_cut_or_minimum_the_line_is_the_last_bound_of_the_selection(project: Any, many: Any) -> None:
    """As a brush over difficulty on the board leaves it."""
    of = dict(PairFact.objects.values_list("pair", "difficulty"))
    found = counted(project, "source!=s9", "difficulty>=0.1", "difficulty<0.6", "discretion!=indifference")
    line = found.line
    assert line is not None
    assert (line.name, line.measure, line.at) == ("difficulty<0.6", "difficulty", 0.6)
    assert [row.value for row in line.rows] == [of[row.pair] for row in line.rows]
    kept, gone = ([row for row in line.rows if row.is_kept is is_kept] for is_kept in (True, False))
    # Each is the nearest to the line; a pair of which the difficulty is not known is on neither side.
    beyond = sorted(one for one in of.values() if one is not None and one >= 0.6)
    assert [row.value for row in gone] == beyond[:10]
    values = [row.value or 0 for row in kept]
    assert values == sorted(values)
    assert 0.1 <= values[0] < values[-1] < 0.6
    assert len(kept) == min(10, found.chosen)


@pytest.mark.parametrize(
    ("criteria", "name", "measure"),
    [
        (["difficulty<0.6", "weighted_agreement>0.6"], "weighted_agreement>0.6", "weighted agreement"),
        (["judgements<=2", "source=s1"], "judgements<=2", "judgements"),
        # What names pairs or a value is no bound.
        (["source=s1", "pair>0", "difficulty=0.5"], None, None),
        ([], None, None),
    ],
)
def test_the_last_number_that_is_bounded_draws_the_line(
    project: Any, many: Any, criteria: list[str], name: str | None, measure: str | None
) -> None:
    line = counted(project, *criteria).line
    assert (line.name if line else None, line.measure if line else None) == (name, measure)
    assert line is None or {row.is_kept for row in line.rows} == {True, False}
