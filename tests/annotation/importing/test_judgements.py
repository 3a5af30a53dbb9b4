"""Judgements of a file: which pair, whose, which side; twice, changed, elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.errors import Refused
from annotation.importing import import_judgements, import_pairs
from annotation.models import Annotator, Assignment, Judgement, Pair, Project, Rationale

pytestmark = pytest.mark.django_db


@pytest.fixture
def pairs(project: Project, tmp_path: Path) -> list[Pair]:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"item_id": f"i{n}", "source": "made", "prompt": f"q{n}", "response_a": f"a{n}", "response_b": f"b{n}"}
        for n in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_pairs(project=project, path=path)
    return list(Pair.objects.filter(project=project))


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def to_file(*content: dict[str, Any]) -> Path:
        path = tmp_path / "said.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in content))
        return path

    return to_file


def said(item: int = 0, who: str = "ann", choice: Any = "a", **changes: Any) -> dict[str, Any]:
    row = {"item_id": f"i{item}", "source": "made", "annotator_id": who, "task": "pairwise", "choice": choice} | changes
    return {key: value for key, value in row.items() if value != "absent"}


def judgement(item: int, who: str = "ann") -> Judgement:
    return Judgement.objects.select_related("assignment__pair").get(
        assignment__pair__external_id=f"i{item}", annotator__external_id=who, is_current=True
    )


def better(found: Judgement) -> str:
    pair = found.assignment.pair
    return (pair.first if (found.strength or 0) > 0 else pair.second).text


def test_each_choice_becomes_its_verdict(project: Project, pairs: list[Pair], write: Any) -> None:
    choices = ["a", "b", "tie", "both_bad", "abstain"]
    report = import_judgements(project=project, path=write(*(said(n, choice=c) for n, c in enumerate(choices))))
    assert (report.read, report.added, report.stored) == (5, 5, True)
    assert better(judgement(0)) == "a0"
    assert better(judgement(1)) == "b1"
    assert [(j.verdict, j.skip_reason) for j in map(judgement, range(5))] == [
        ("prefer", ""),
        ("prefer", ""),
        ("tie", ""),
        ("both_bad", ""),
        ("skip", "cannot_judge"),
    ]
    assert [j.strength_known for j in map(judgement, range(3))] == [False, False, True]


def test_it_needs_no_slot_and_no_account(project: Project, pairs: list[Pair], write: Any) -> None:
    import_judgements(project=project, path=write(said()))
    assignment = judgement(0).assignment
    assert (assignment.slot, assignment.swapped, assignment.lease_until) == (None, False, None)
    assert assignment.done_at is not None
    annotator = Annotator.objects.get(external_id="ann")
    assert (annotator.user, annotator.kind, annotator.name) == (None, "person", "ann")
    assert Assignment.objects.open().count() == 12 * project.overlap


def test_a_value_from_one_to_two_is_how_sure(project: Project, pairs: list[Pair], write: Any) -> None:
    rows = [said(0, choice="a", value=1), said(1, choice="b", value=1.75), said(2, choice="tie", value=1.5)]
    import_judgements(project=project, path=write(*rows))
    assert [judgement(n).confidence for n in range(3)] == [1.0, 0.5, 0.0]


def test_a_judge_is_a_model(project: Project, pairs: list[Pair], write: Any) -> None:
    path = write(said(who="gpt"), said(who="llm:other"))
    import_judgements(project=project, path=path, judges={"gpt"})
    assert Annotator.objects.get(external_id="gpt").is_judge
    assert Annotator.objects.get(external_id="gpt").model == "gpt"
    assert not Annotator.objects.get(external_id="llm:other").is_judge


def test_a_judge_that_says_nothing_is_refused(project: Project, pairs: list[Pair], write: Any) -> None:
    with pytest.raises(Refused, match=r"nothing by the judge 'gtp'. Its annotators are: gpt"):
        import_judgements(project=project, path=write(said(who="gpt")), judges={"gtp"})
    assert not Judgement.objects.exists()


def test_a_person_does_not_become_a_judge(project: Project, pairs: list[Pair], write: Any) -> None:
    import_judgements(project=project, path=write(said(0)))
    with pytest.raises(Refused, match="'ann' is here as a person already"):
        import_judgements(project=project, path=write(said(1)), judges={"ann"})
    assert Judgement.objects.count() == 1


def test_the_same_file_twice_adds_nothing(project: Project, pairs: list[Pair], write: Any) -> None:
    path = write(*(said(n, choice="ab"[n % 2]) for n in range(8)))
    import_judgements(project=project, path=path)
    report = import_judgements(project=project, path=path)
    assert (report.stored, report.added, report.already) == (True, 0, 8)
    assert (Judgement.objects.count(), Annotator.objects.count()) == (8, 1)


def test_another_word_on_the_same_pair_is_refused(project: Project, pairs: list[Pair], write: Any) -> None:
    import_judgements(project=project, path=write(said(0), said(1)))
    path = write(said(0, choice="b"), said(1), said(2))
    stopped = import_judgements(project=project, path=path)
    assert (stopped.stored, stopped.counts) == (False, {"judged_otherwise": 1})
    assert Judgement.objects.count() == 2
    skipped = import_judgements(project=project, path=path, on_error="skip")
    assert (skipped.already, skipped.added) == (1, 1)
    assert better(judgement(0)) == "a0"


def test_a_second_row_of_one_annotator_on_one_item_is_refused(project: Project, pairs: list[Pair], write: Any) -> None:
    report = import_judgements(project=project, path=write(said(0), said(1), said(0, choice="b")), on_error="skip")
    assert [(r.line, r.reason, r.item) for r in report.refusals] == [(3, "duplicate_judgement", "i0")]
    assert report.added == 2


def test_what_is_about_something_else_is_left_out_and_counted(project: Project, pairs: list[Pair], write: Any) -> None:
    rows = [
        said(0),
        said(99),
        said(1, source="else"),
        said(2, task="ordinal", choice=3),
        said(3, task="ordinal", choice=4),
        said(4, task="nli", choice=True),
    ]
    report = import_judgements(project=project, path=write(*rows))
    assert (report.read, report.added, len(report.refusals)) == (6, 1, 0)
    assert dict(report.elsewhere) == {"items that are not in this project": 2, "task ordinal": 2, "task nli": 1}
    assert Annotator.objects.filter(external_id="ann").count() == 1


def test_without_a_source_the_id_must_be_the_only_one(
    project: Project, pairs: list[Pair], write: Any, make_pair: Any
) -> None:
    make_pair(external_id="i0", source="elsewhere", rank=1_000)
    report = import_judgements(
        project=project, path=write(said(0, source="absent"), said(1, source="absent")), on_error="skip"
    )
    assert [(r.line, r.reason) for r in report.refusals] == [(1, "ambiguous_item")]
    assert better(judgement(1)) == "a1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"choice": "A"}, "unknown_label"),
        ({"choice": True}, "unknown_label"),
        ({"choice": "absent"}, "missing_key"),
        ({"task": "absent"}, "missing_key"),
        ({"annotator_id": None}, "wrong_type"),
        ({"annotator_id": "x" * 201}, "bad_value"),
        ({"annotator_id": "a\x00b"}, "nul"),
        ({"annotator_id": "half \ud83d"}, "lone_surrogate"),
        ({"item_id": "absent"}, "missing_key"),
        ({"value": "1.5"}, "wrong_type"),
        ({"value": True}, "wrong_type"),
        ({"value": 3}, "bad_value"),
        ({"value": 1.9}, "bad_value"),
    ],
)
def test_what_a_judgement_cannot_be(
    project: Project, pairs: list[Pair], write: Any, changes: dict[str, Any], reason: str
) -> None:
    report = import_judgements(
        project=project, path=write(said(1), said(0, **changes)), on_error="skip", layout="plumbline"
    )
    assert [(r.line, r.reason) for r in report.refusals] == [(2, reason)]
    # A refused row counts once, wherever it was found out.
    assert (report.read, report.added) == (2, 1)


HELPSTEER = {
    "context": [{"role": "user", "content": "Why?"}],
    "response1": "one",
    "response2": "two",
    "overall_preference": -1,
    "individual_preference": [
        {"score": -3, "reasoning": "Clear.", "feedback1": "f", "feedback2": "g"},
        {"score": 0, "reasoning": "Same."},
        {"score": 2, "reasoning": ""},
    ],
}


def test_helpsteer3_opinions_are_judgements_with_a_strength_and_a_reason(project: Project, write: Any) -> None:
    path = write(HELPSTEER)
    import_pairs(project=project, path=path)
    report = import_judgements(project=project, path=path)
    assert (report.layout, report.added, report.made["rationales"]) == ("helpsteer3", 3, 2)
    pair = Pair.objects.get()
    sign = 1 if pair.first.text == "one" else -1
    found = {j.annotator.external_id: j for j in Judgement.objects.select_related("annotator")}
    assert [found[f"helpsteer3-slot-{n}"].strength for n in (1, 2, 3)] == [3 * sign, 0, -2 * sign]
    assert all(j.strength_known for j in found.values())
    rationale = Rationale.objects.get(judgement=found["helpsteer3-slot-1"])
    assert (rationale.text, rationale.source, rationale.pair) == ("Clear.", "imported", pair)
    assert import_judgements(project=project, path=path).already == 3


@pytest.mark.parametrize(("score", "reason"), [(-100, "bad_value"), (True, "wrong_type"), (None, "wrong_type")])
def test_a_helpsteer3_score_out_of_range_is_refused(project: Project, write: Any, score: Any, reason: str) -> None:
    path = write(HELPSTEER | {"individual_preference": [{"score": score, "reasoning": "x"}]})
    import_pairs(project=project, path=path)
    assert import_judgements(project=project, path=path).counts == {reason: 1}


def test_the_two_ids_of_a_linked_pair_lead_to_it(project: Project, tmp_path: Path, write: Any) -> None:
    path = tmp_path / "pairs.jsonl"
    one = {"item_id": "x", "source": "s", "prompt": "q", "response_a": "left", "response_b": "right"}
    turned = one | {"item_id": "y", "response_a": "right", "response_b": "left"}
    path.write_text(json.dumps(one) + "\n" + json.dumps(turned) + "\n")
    assert import_pairs(project=project, path=path).linked == 1
    rows = [said(item_id="x", source="s", who="p"), said(item_id="y", source="s", who="q")]
    import_judgements(project=project, path=write(*rows))
    found = {j.annotator.external_id: better(j) for j in Judgement.objects.select_related("annotator")}
    assert found == {"p": "left", "q": "right"}


def test_a_file_of_no_layout_is_refused(project: Project, write: Any) -> None:
    with pytest.raises(Refused, match="No layout of judgements fits"):
        import_judgements(project=project, path=write({"x": 1}))
    with pytest.raises(Refused, match="no layout 'hh' for judgements"):
        import_judgements(project=project, path=write(said()), layout="hh")
