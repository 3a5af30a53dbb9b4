from __future__ import annotations

import pytest

from annotation.errors import Refused
from annotation.models import Project
from curation.criteria import parse_all
from curation.diffing import UNKNOWN, diff
from curation.releasing import release

pytestmark = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def made(make_pair, say, alice):
    pairs = [make_pair(slots=0, tags=["code"] if n % 2 else []) for n in range(6)]
    for pair in pairs[:5]:
        say(alice, pair, "first")
    return pairs


def test_what_came_and_went_has_the_step_that_removed_it(project, made, tmp_path):
    release(project=project, version="v1", where=parse_all(["tag=code"]), out=tmp_path / "v1")
    release(project=project, version="v2", where=parse_all([f"pair>{made[1].pk}"]), out=tmp_path / "v2")
    found = diff(tmp_path / "v1", tmp_path / "v2")
    assert found.came == {made[2].pk: "tag=code", made[4].pk: "tag=code"}
    assert found.went == {made[1].pk: f"pair>{made[1].pk}"}
    assert (found.changed, found.same) == ({}, 1)
    back = diff(tmp_path / "v2", tmp_path / "v1")
    assert (back.came, back.went) == (found.went, found.came)


def test_what_a_budget_left_out_is_named_by_it(project, made, tmp_path):
    release(project=project, version="v1", out=tmp_path / "v1")
    release(project=project, version="v2", subset=2, out=tmp_path / "v2")
    found = diff(tmp_path / "v1", tmp_path / "v2")
    assert [*found.went.values()] == ["beyond the 2 that say most"] * 3
    assert (found.came, found.changed, found.same) == ({}, {}, 2)


def test_what_changed_says_what_differs_first(project, made, tmp_path, say, alice, bob, adjudicator):
    release(project=project, version="v1", out=tmp_path / "v1")
    # One is turned round, one has another voice, one another text; and one that was not judged comes.
    for who in (bob, adjudicator):
        say(who, made[0], "second")
    say(bob, made[1], "first")
    made[2].first.messages = [{"role": "assistant", "content": "Rewritten."}]
    made[2].first.save()
    say(bob, made[5], "second")
    release(project=project, version="v2", out=tmp_path / "v2")
    found = diff(tmp_path / "v1", tmp_path / "v2")
    assert found.changed == {
        made[0].pk: "the other answer is chosen",
        made[1].pk: "other judgements",
        made[2].pk: "other texts or columns",
    }
    assert (found.came, found.went, found.same) == ({made[5].pk: "no judgement"}, {}, 2)
    assert found.as_json()["changed"]["reasons"] == {
        "the other answer is chosen": 1,
        "other judgements": 1,
        "other texts or columns": 1,
    }


@pytest.mark.parametrize("layout", ["trl_kto", "listwise", "votes"])
def test_layouts_with_more_or_fewer_rows_than_pairs_are_compared_by_pair(project, made, tmp_path, layout):
    rule = "majority" if layout == "trl_kto" else "soft"
    release(project=project, version="v1", layout=layout, rule=rule, names=True, out=tmp_path / "v1")
    where = parse_all(["tag=code"])
    release(project=project, version="v2", layout=layout, rule=rule, names=True, where=where, out=tmp_path / "v2")
    found = diff(tmp_path / "v1", tmp_path / "v2")
    assert found.went == {made[n].pk: "tag=code" for n in (0, 2, 4)}
    assert (found.changed, found.same) == ({}, 2)


def test_a_judgement_that_was_revised_between_does_not_hide_the_reason(project, made, tmp_path, say, alice):
    release(project=project, version="v1", where=parse_all(["tag=code"]), out=tmp_path / "v1")
    say(alice, made[0], "second")
    release(project=project, version="v2", out=tmp_path / "v2")
    assert {*diff(tmp_path / "v1", tmp_path / "v2").came.values()} == {"tag=code"}


def test_where_judgements_are_not_there_any_more_the_reason_is_not_known(project, made, tmp_path, say, alice):
    release(project=project, version="v1", where=parse_all(["tag=code"]), out=tmp_path / "v1")
    release(project=project, version="v2", out=tmp_path / "v2")
    seat = made[0].assignments.get(annotator=alice)
    seat.judgements.all().delete()
    assert {*diff(tmp_path / "v1", tmp_path / "v2").came.values()} == {UNKNOWN}


def test_other_projects_and_other_folders_are_refused(project, made, tmp_path, stranger):
    release(project=project, version="v1", out=tmp_path / "v1")
    release(project=Project.objects.get(slug="elsewhere"), version="v1", out=tmp_path / "v2")
    with pytest.raises(Refused, match="releases of two projects, everyday and elsewhere"):
        diff(tmp_path / "v1", tmp_path / "v2")
    with pytest.raises(Refused, match="holds no manifest of a release"):
        diff(tmp_path, tmp_path / "v1")
