"""The page of a release: against the one before, verified, and the way to the next one."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.http import QueryDict
from django.urls import reverse

from curation import reviewing
from curation.criteria import parse_all
from curation.forms import DraftForm, address_of
from curation.models import Release
from curation.releasing import plan, release

pytestmark = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def two(project, make_pair, say, alice, bob, tmp_path):
    """A release of five pairs, and one of the three among them and two that are about code."""
    pairs = [make_pair(slots=0, tags=["code"] if n > 1 else []) for n in range(7)]
    for pair in pairs[:5]:
        say(alice, pair, "first")
    old = release(project=project, version="v1", out=tmp_path / "v1").release
    for pair in pairs[5:]:
        say(bob, pair, "second")
    return old, release(project=project, version="v2", where=parse_all(["tag=code"]), out=tmp_path / "v2").release


@pytest.fixture
def open_page(project, lead, sign_in):
    client = sign_in(lead)

    def get(version, query="", *, post=False):
        address = reverse("release", args=[project.slug, version]) + query
        return client.post(address, {"do": "verify"}) if post else client.get(address)

    return get


def test_the_first_release_has_none_before_it(two, open_page):
    assert open_page("v1").context["before"] is None
    assert "Against" not in open_page("v1").content.decode()


def test_two_releases_stand_side_by_side_in_figures(two, open_page):
    answer = open_page("v2")
    assert answer.context["before"] == two[0]
    pairs, _, agreement, annotators = answer.context["figures"]
    assert (pairs.before, pairs.after, pairs.change) == ("5", "5", "+0")
    assert (agreement.before, agreement.change) == ("", "")
    assert (annotators.before, annotators.after, annotators.change) == ("1", "2", "+1")
    assert answer.context["changes"] == []


def test_all_changes_are_counted_with_their_reasons(two, open_page):
    text = unescape(open_page("v2", "?changes=1").content.decode())
    for part in ("2 pairs are new", "2 no judgement", "2 pairs are gone", "2 tag=code", "3 the same"):
        assert part in text


def test_a_release_that_is_whole_is_said_to_be(two, open_page):
    assert "every row follows from the judgements" in open_page("v2", post=True).content.decode()
    (Path(two[1].folder) / "README.md").write_text("# Better")
    assert "README.md was changed after the release." in open_page("v2", post=True).content.decode()


def test_large_and_missing_releases_are_left_to_the_commands(two, open_page, monkeypatch):
    Release.objects.filter(version="v1").update(folder="/nowhere")
    assert "holds no manifest" in open_page("v2", "?changes=1").content.decode()
    monkeypatch.setattr(reviewing, "MOST_ROWS", 4)
    assert "manage.py verify_release" in open_page("v2", post=True).content.decode()
    assert "manage.py diff_releases" in open_page("v2", "?changes=1").content.decode()


def test_the_next_one_begins_with_what_this_one_was_asked_for(project, two, make_pair, tmp_path):
    options: dict[str, Any] = {
        "where": parse_all(["tag=code", "agreement>=0.25"]),
        "rule": "dawid_skene",
        "least_probability": 0.6,
        "ties": "both",
        "layout": "trl_reward",
        "annotators": "all",
        "test_share": 0.15,
        "seed": 3,
        "quotas": {"a=b": 4, "code": 2},
        "near_duplicates": 0.8,
        "licence": "mit",
        "limits": "Few people & one place.",
        "most_harmful": 0.125,
        "sign_off": "Known.",
        "names": True,
    }
    made = release(project=project, version="v3", out=tmp_path / "v3", **options).release
    form = DraftForm(QueryDict(address_of(made.manifest)).dict(), project=project)
    assert form.is_valid(), form.errors
    again, first = plan(project=project, **form.asked()), plan(project=project, version="unnamed", **options)
    # The criteria of the manifest say what the first left unsaid.
    assert again.criteria == first.criteria
    assert {**vars(again), "where": ()} == {**vars(first), "where": ()}


def test_a_release_of_another_format_has_no_way_to_the_next(two, open_page):
    manifest = {key: value for key, value in two[1].manifest.items() if key not in ("ties", "harmful")}
    Release.objects.filter(version="v2").update(manifest=manifest)
    assert "New from this" not in open_page("v2").content.decode()
    assert "New from this" in open_page("v1").content.decode()
