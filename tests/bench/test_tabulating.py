"""What the bench of the facts measures is truly the gathering: two processes, parts for both, the same facts."""

from __future__ import annotations

import pytest
from django.db import connection

from bench import tabulating
from curation.models import FactsState, PairFact


@pytest.mark.django_db(transaction=True)
def test_it_gathers_with_one_and_with_two_processes_and_copies_what_came_out() -> None:
    line = tabulating.measure(pairs=61, counts=[1, 2], repeats=1)
    # Once before it counts, and once with each number of processes.
    assert FactsState.objects.get().version == 3
    assert (line["pairs"], line["parts"], set(line["by_workers"])) == (61, 2, {"1", "2"})
    assert all(one["rows_per_s"] > 0 and one["share"] > 0 for one in line["by_workers"].values())
    assert (line["figure"], line["ratio"]) == (
        line["by_workers"]["1"]["rows_per_s"],
        line["by_workers"]["1"]["share"],
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (TABLE pair_facts EXCEPT TABLE plain) f")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM plain")
        assert cursor.fetchone() == (PairFact.objects.count(),) == (61,)
        cursor.execute("DROP TABLE plain")


@pytest.mark.django_db(transaction=True)
def test_facts_that_come_out_otherwise_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(["as they were", "otherwise"])
    monkeypatch.setattr(tabulating, "contents", lambda: next(told))
    with pytest.raises(AssertionError, match="With 1 processes the facts came out otherwise"):
        tabulating.measure(pairs=10, counts=[1], repeats=1)
