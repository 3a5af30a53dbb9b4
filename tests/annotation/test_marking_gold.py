"""Gold is named: by a file, one by one, all or none; and a pair is gold no longer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from annotation import marking_gold, opening
from annotation.errors import Refused
from annotation.marking_gold import Gold
from annotation.models import Annotator, Event, Pair, Project

MakePair = Callable[..., Pair]

pytestmark = pytest.mark.django_db


def test_gold_has_no_slots_that_wait(project: Project, make_pair: MakePair, lead: Annotator) -> None:
    pair, other = make_pair(external_id="one"), make_pair()
    given = [Gold(verdict="first", external_id="one", why="It is right.")]
    for _ in range(2):
        assert marking_gold.mark_gold(project=project, gold=given, actor=lead.user) == 1
    pair.refresh_from_db()
    assert (pair.is_gold, pair.gold_use, pair.gold_verdict, pair.gold_why) == (True, "check", "first", "It is right.")
    opening.open_slots(project=project)
    opening.open_extra_slots(project=project, pairs=[pair.pk], more=2)
    assert not pair.assignments.exists()
    assert other.assignments.count() == project.overlap
    assert Event.objects.filter(act="pairs.gold").count() == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"id": "one", "verdict": "a"}', "first, second or tie"),
        ('{"id": "one", "verdict": "first", "use": "exam"}', "check, example, or none"),
        ('{"id": "one", "verdict": "first", "use": "example"}', "explained"),
        ('{"id": "two", "verdict": "first"}', "no pair"),
        ('{"id": "one", "pair": 1, "verdict": "first"}', "Name the pair once"),
        ('{"verdict": "first"}', "Name the pair once"),
        ('{"id": "one", "verdict": "first", "reason": "x"}', "Unknown: reason"),
        ('{"id": "one", "verdict": 1}', "are texts"),
        ('{"id": "one", "verdict": "first"}', "a second time"),
        ('{"id": "one", "use": "none", "verdict": "first"}', "no verdict"),
        ('{"id": "one", "verdict": "first", "why": "half \\ud800"}', "U\\+D800"),
        ('{"id": "o\\u0000ne", "verdict": "first"}', "U\\+0000"),
        ('{"pair": 99999999999999999999, "verdict": "first"}', "no pair"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_marked(
    project: Project, make_pair: MakePair, tmp_path: Any, line: str, told: str
) -> None:
    make_pair(external_id="one")
    file = tmp_path / "gold.jsonl"
    file.write_text(json.dumps({"id": "one", "verdict": "tie"}) + "\n" + line + "\n")
    with pytest.raises(CommandError, match=told) as refused:
        call_command("mark_gold", file, project="everyday")
    assert "Line 2" in str(refused.value)
    assert not Pair.objects.exclude(gold_use="").exists()


@pytest.mark.parametrize(("a", "stored"), [("first", "first"), ("second", "second")])
def test_first_is_the_first_of_the_file_where_the_file_names_the_pair(
    project: Project, make_pair: MakePair, a: str, stored: str
) -> None:
    pair = make_pair(external_id="one", meta={"imported": {"a": a}})
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="first", external_id="one")])
    pair.refresh_from_db()
    assert pair.gold_verdict == stored
    marking_gold.mark_gold(project=project, gold=[Gold(verdict="first", pair=pair.pk)])
    pair.refresh_from_db()
    assert pair.gold_verdict == "first"


def test_the_command_marks_a_file(project: Project, make_pair: MakePair, tmp_path: Any, capsys: Any) -> None:
    pair = make_pair(external_id="one")
    other = make_pair()
    lines = [
        {"id": "one", "verdict": "second", "use": "example", "why": "B counts right."},
        {"pair": other.pk, "verdict": "tie"},
    ]
    file = tmp_path / "gold.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    call_command("mark_gold", file, project="everyday")
    assert capsys.readouterr().out == "2 pairs are gold.\n"
    assert dict(Pair.objects.values_list("pk", "gold_use")) == {pair.pk: "example", other.pk: "check"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"gold_use": "check", "gold_verdict": "first"}, "gold_in_use_has_its_answer"),
        ({"gold_use": "check", "is_gold": True}, "gold_in_use_has_its_answer"),
        ({"gold_use": "example", "is_gold": True, "gold_verdict": "tie"}, "an_example_is_explained"),
    ],
)
def test_the_database_refuses_gold_without_an_answer(make_pair: MakePair, fields: dict[str, Any], name: str) -> None:
    with pytest.raises(IntegrityError, match=name):
        make_pair(**fields)


def test_the_database_refuses_a_round_that_nobody_can_pass(project: Project) -> None:
    with pytest.raises(IntegrityError, match="project_gold_pass_within_round"):
        Project.objects.update(gold_round=3, gold_pass=4)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_fault_is_named_by_its_line_in_the_file_blank_lines_counted(
    project: Project, make_pair: MakePair, tmp_path: Any
) -> None:
    make_pair(external_id="one")
    file = tmp_path / "gold.jsonl"
    file.write_text('{"id": "one", "verdict": "tie"}\n\n\n{"id": "two", "verdict": "tie"}\n')
    with pytest.raises(CommandError, match=r"^Line 4: There is no pair 'two' in this project"):
        call_command("mark_gold", file, project="everyday")


def test_a_line_ends_where_json_lines_end_and_nowhere_else(
    project: Project, make_pair: MakePair, tmp_path: Any, capsys: Any
) -> None:
    """Line separators of Unicode may stand in JSON as they are; a file of Windows has other line ends, and a mark."""
    pair, why = make_pair(external_id="one"), "One.\u2028Two.\u0085Three."
    file = tmp_path / "gold.jsonl"
    told = json.dumps({"id": "one", "verdict": "first", "why": why}, ensure_ascii=False)
    file.write_bytes(b"\xef\xbb\xbf" + told.encode() + b"\r\n")
    call_command("mark_gold", file, project="everyday")
    assert capsys.readouterr().out == "1 pair is gold.\n"
    pair.refresh_from_db()
    assert pair.gold_why == why


# ---- gold no longer --------------------------------------------------------------------------------------------------


def test_a_pair_that_is_gold_no_longer_is_a_pair_like_any_other(
    project: Project, make_pair: MakePair, tmp_path: Any, capsys: Any
) -> None:
    pair, kept = make_pair(external_id="one"), make_pair(external_id="two")
    given = [Gold(verdict="first", why="So.", pair=one.pk) for one in (pair, kept)]
    marking_gold.mark_gold(project=project, gold=given)
    file = tmp_path / "gold.jsonl"
    file.write_text('{"id": "one", "use": "none"}\n')
    for _ in range(2):
        call_command("mark_gold", file, project="everyday")
    assert capsys.readouterr().out == "0 pairs are gold.\n1 pair is gold no longer.\n" * 2
    pair.refresh_from_db()
    assert (pair.is_gold, pair.gold_use, pair.gold_verdict, pair.gold_why) == (False, "", "", "")
    assert pair.assignments.count() == project.overlap
    assert not kept.assignments.exists()
    assert Event.objects.filter(act="pairs.gold").latest("pk").after == {"pairs": 1, "checks": 0, "not_gold": 1}


def test_one_by_one_no_line_is_named(project: Project, make_pair: MakePair) -> None:
    pair = make_pair()
    with pytest.raises(Refused, match=r"^An example is explained"):
        marking_gold.mark_gold(project=project, gold=[Gold(verdict="tie", use="example", pair=pair.pk)])
    given = [Gold(verdict="tie", pair=pair.pk), Gold(verdict="best", pair=pair.pk)]
    with pytest.raises(Refused, match=r"^Line 2: The verdict is 'best'"):
        marking_gold.mark_gold(project=project, gold=given)
