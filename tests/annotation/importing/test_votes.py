"""Votes principle by principle: sides, principles, twice, changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.errors import Refused
from annotation.importing import import_pairs, import_principle_votes
from annotation.importing.votes import read_principles
from annotation.models import Annotator, Pair, Principle, PrincipleVote, Project

pytestmark = pytest.mark.django_db

PRINCIPLES = [
    {"list": "ours", "principle_id": n, "text": f"The answer does {n}.", "short": f"Does {n}"} for n in (10, 2, 0)
] + [{"list": "theirs", "principle_id": "x", "text": "y" * 150, "short": None}]


def to_file(path: Path, content: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in content))
    return path


@pytest.fixture
def principles(tmp_path: Path) -> Path:
    return to_file(tmp_path / "principles.jsonl", PRINCIPLES)


@pytest.fixture
def pairs(project: Project, tmp_path: Path) -> None:
    rows = [
        {"item_id": f"i{n}", "source": "made", "prompt": f"q{n}", "response_a": f"a{n}", "response_b": f"b{n}"}
        for n in range(12)
    ]
    import_pairs(project=project, path=to_file(tmp_path / "pairs.jsonl", rows))


def vote(item: int = 0, votes: Any = (1, 0, -1), oracle: str = "gpt", **changes: Any) -> dict[str, Any]:
    votes = list(votes) if isinstance(votes, tuple) else votes
    return {"item_id": f"i{item}", "oracle": oracle, "principle_list": "ours", "votes": votes} | changes


def test_lists_stand_in_the_order_of_their_numbers(principles: Path) -> None:
    lists = read_principles(principles)
    assert [one.key for one in lists["ours"]] == ["0", "2", "10"]
    assert len(lists["theirs"][0].short) == 100


def test_votes_fall_to_the_candidate_that_the_file_means(
    project: Project, pairs: None, principles: Path, tmp_path: Path
) -> None:
    path = to_file(tmp_path / "votes.jsonl", [vote(n) for n in range(12)])
    report = import_principle_votes(project=project, path=path, principles=principles, judges={"gpt"})
    assert (report.added, report.made) == (12, {"votes": 36, "principles made": 3, "annotators made": 1})
    assert Annotator.objects.get(external_id="gpt").is_judge
    for pair in Pair.objects.select_related("first", "second"):
        votes = {v.principle.key: v.vote for v in PrincipleVote.objects.filter(pair=pair).select_related("principle")}
        a_is = "first" if pair.first.text.startswith("a") else "second"
        assert votes == {"0": a_is, "2": "irrelevant", "10": "second" if a_is == "first" else "first"}
    # Both orders occurred.
    assert len({pair.meta["imported"]["a"] for pair in Pair.objects.all()}) == 2


def test_twice_adds_nothing_and_other_votes_are_refused(
    project: Project, pairs: None, principles: Path, tmp_path: Path
) -> None:
    path = to_file(tmp_path / "votes.jsonl", [vote(0), vote(1)])
    import_principle_votes(project=project, path=path, principles=principles)
    again = import_principle_votes(project=project, path=path, principles=principles)
    assert (again.added, again.already, again.made["votes"]) == (0, 2, 0)
    path = to_file(tmp_path / "votes.jsonl", [vote(0, (1, 1, 1)), vote(1), vote(2)])
    stopped = import_principle_votes(project=project, path=path, principles=principles)
    assert (stopped.stored, stopped.counts) == (False, {"voted_otherwise": 1})
    skipped = import_principle_votes(project=project, path=path, principles=principles, on_error="skip")
    assert (skipped.already, skipped.added) == (1, 1)
    assert PrincipleVote.objects.count() == 9


def test_items_of_other_projects_are_left_out_and_make_nothing(
    project: Project, principles: Path, tmp_path: Path
) -> None:
    path = to_file(tmp_path / "votes.jsonl", [vote(0), vote(1)])
    report = import_principle_votes(project=project, path=path, principles=principles)
    assert (report.added, report.left_out) == (0, 2)
    assert not Principle.objects.exists()
    assert not Annotator.objects.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"votes": (1, 0)}, "vote_count"),
        ({"votes": (1, 0, True)}, "bad_value"),
        ({"votes": (1, 0, 2)}, "bad_value"),
        ({"votes": "1,0,1"}, "wrong_type"),
        ({"principle_list": "nobody's"}, "unknown_principles"),
        ({"oracle": None}, "wrong_type"),
        ({"item_id": "i1"}, "duplicate_judgement"),
    ],
)
def test_what_a_row_cannot_be(
    project: Project, pairs: None, principles: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = to_file(tmp_path / "votes.jsonl", [vote(1), vote(**changes)])
    report = import_principle_votes(project=project, path=path, principles=principles, on_error="skip")
    assert [(r.line, r.reason) for r in report.refusals] == [(2, reason)]
    assert report.added == 1


def test_a_principle_that_changed_stops_the_import(
    project: Project, pairs: None, principles: Path, tmp_path: Path
) -> None:
    Principle.objects.create(project=project, source="ours", key="0", short="s", text="Another text.")
    path = to_file(tmp_path / "votes.jsonl", [vote(0)])
    with pytest.raises(Refused, match="principle 0 of ours is here with another text"):
        import_principle_votes(project=project, path=path, principles=principles)
    assert not PrincipleVote.objects.exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"list": "l", "principle_id": 1}, "text is missing"),
        ({"list": "l", "principle_id": True, "text": "x"}, "principle_id must be text"),
        ({"list": "ours", "principle_id": 0, "text": "x"}, "stands in the list ours twice"),
    ],
)
def test_a_bad_file_of_principles_is_refused(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = to_file(tmp_path / "principles.jsonl", [*PRINCIPLES, row])
    with pytest.raises(Refused, match=f"principles.jsonl, line 5: .*{said}"):
        read_principles(path)
