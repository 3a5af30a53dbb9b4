from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from annotation.errors import Refused
from annotation.models import Annotator, Event
from curation.declaring import declare
from curation.models import Declared


@pytest.fixture
def said(project, tmp_path):
    def give(content):
        path = tmp_path / "declared.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return declare(project=project, path=path)

    return give


def stored():
    return sorted(Declared.objects.values_list("annotator__name", "attribute", "group"))


def test_a_file_replaces_what_was_declared(said, alice, bob):
    assert said({"Alice": {"age": "young", "region": "north"}, "Bob": {"age": "old"}}) == 2
    assert said({"Bob": {"age": "middle"}}) == 1
    assert stored() == [("Bob", "age", "middle")]
    assert said({}) == 0
    assert stored() == []


def test_the_event_never_says_who_said_what(said, alice):
    said({"Alice": {"age": "young"}})
    event = Event.objects.get(act="declare")
    assert event.after == {"people": 1, "attributes": ["age"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"Nora": {"age": "old"}}, "'Nora' is nobody"),
        ({"Twin": {"age": "old"}}, "'Twin' is 2 people"),
        ({"Alice": "old"}, "has no groups by attribute"),
        ({"Alice": {"age": 7}}, "has no groups by attribute"),
        ({"Alice": {"age": " "}}, "is empty or over 60"),
        ({"Alice": {"age": "x" * 61}}, "is empty or over 60"),
        ({"t1": {"age": "old"}, "Only": {"age": "young"}}, "names somebody twice"),
        ({"robot-1": {"age": "old"}}, "is nobody"),
        ("[1]", "is no object"),
        ("not json", "cannot be read as JSON"),
    ],
)
def test_what_cannot_be_right_is_refused_and_nothing_changes(said, project, alice, robot, content, says):
    for name, identifier in (("Twin", ""), ("Twin", ""), ("Only", "t1")):
        Annotator.objects.create(project=project, name=name, external_id=identifier)
    said({"Alice": {"age": "young"}})
    with pytest.raises(Refused, match=says):
        said(content)
    assert stored() == [("Alice", "age", "young")]


def test_the_database_keeps_one_group_and_no_empty_one(alice):
    Declared.objects.create(annotator=alice, attribute="age", group="young")
    for fields, constraint in (
        ({"attribute": "age", "group": "old"}, "one_group_per_attribute"),
        ({"attribute": "", "group": "old"}, "declared_is_not_empty"),
        ({"attribute": "region", "group": ""}, "declared_is_not_empty"),
    ):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Declared.objects.create(annotator=alice, **fields)


def test_the_command(project, alice, tmp_path, capsys):
    path = tmp_path / "declared.json"
    path.write_text('{"Alice": {"age": "young"}}')
    call_command("declare", str(path), "--project", "everyday")
    assert "1 people have declared something." in capsys.readouterr().out
    for arguments, says in ((["--project", "nowhere"], "no project"), (["--project", "everyday"], "cannot be read")):
        with pytest.raises(CommandError, match=says):
            call_command("declare", str(tmp_path / "no.json"), *arguments)
