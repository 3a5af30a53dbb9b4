"""The first rows of a preview are what the release then writes, shown so that no text can harm who reads them."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from django.db import connections
from django.urls import reverse

from annotation.models import Pair
from curation import drafting, previewing
from curation.choosing import choose
from curation.export.layouts import LAYOUTS
from curation.planning import plan
from curation.releasing import release
from tests.curation.folders import read

pytestmark = pytest.mark.usefixtures("same_connection")
HOSTILE = "<script>alert(1)</script> \u202eesrever </bdi></pre><img src=x onerror=alert(2)>"


@pytest.fixture
def look(project: Any, lead: Any, sign_in: Any) -> Any:
    client = sign_in(lead)
    return lambda **query: client.get(reverse("release_new", args=[project.slug]), query)


def value_of(shown: previewing.Value) -> Any:
    if shown.is_null:
        return None
    return shown.text if shown.kind == "string" else json.loads(shown.text)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_rows_are_those_that_the_release_writes(project: Any, varied: Any, layout: str, tmp_path: Any) -> None:
    """Of every layout, all columns in their order; with names, for pseudonyms are a release's own."""
    asked = plan(project=project, version="v1", layout=layout, names=True, seed=3)
    counted = drafting.count(asked, selection=[], least=[])
    assert counted.written.refused == ""
    release(project=project, version="v1", layout=layout, names=True, seed=3, out=tmp_path / "v1", sign_off="Known.")
    rows = read(tmp_path / "v1", layout)
    first = {one.pair for one in counted.preview[: previewing.PAIRS]}
    if LAYOUTS[layout].by_prompt:
        expected = [row for row in rows if first & {*row["pair_ids"]}]
    else:
        expected = [row for row in rows if row["pair_id"] in first]
    expected = expected[: previewing.ROWS]
    assert len(expected) >= 1
    assert [{one.column: value_of(one) for one in row} for row in counted.written.rows] == expected
    assert [[one.column for one in row] for row in counted.written.rows] == [list(row) for row in expected]


def test_a_rule_with_a_probability_shows_it(project: Any, varied: Any) -> None:
    asked = plan(project=project, version="v1", rule="dawid_skene")
    shown = drafting.count(asked, selection=[], least=[]).written.rows[0]
    assert (shown[-1].column, shown[-1].kind) == ("probability", "double")


def test_hostile_texts_are_text_and_long_ones_wait_behind_a_disclosure(
    project: Any, make_pair: Any, say: Any, alice: Any, look: Any
) -> None:
    pair = make_pair(prompt="Short?", first=HOSTILE, second="word " * 4000, external_id="<b>x</b>")
    say(alice, pair, "first")
    answer = look(layout="rationale")
    assert "alert(1)" not in answer.content.decode(), "Nobody gave a reason: there is no row."
    answer = look(layout="hh")
    text = answer.content.decode()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text
    chosen, rejected = answer.context["counted"].written.rows[0][:2]
    assert HOSTILE in chosen.text
    assert rejected.beginning.endswith("word …")
    assert len(rejected.beginning) <= previewing.CLAMPED + 2
    assert len(rejected.text) == previewing.LONGEST
    assert rejected.left_out == len(f"\n\nHuman: Short?\n\nAssistant: {'word ' * 4000}") - previewing.LONGEST
    assert f"And {rejected.left_out:,} more characters." in text
    # What fits on a line is not folded.
    whole = look(layout="trl_dpo").context["counted"].written.rows[0][0]
    assert (whole.column, whole.beginning) == ("prompt", "")
    # In the disclosure, isolated: a text that turns the direction round turns nothing but itself.
    assert text.count("<details><summary><bdi>") == text.count("<pre><bdi>") >= 1


def test_what_cannot_be_written_is_said_and_the_rest_is_counted(
    project: Any, make_pair: Any, say: Any, alice: Any, look: Any
) -> None:
    pair = make_pair()
    prompt = Pair.objects.get(pk=pair.pk).prompt
    prompt.messages = [{"role": "system", "content": "Be kind."}, *prompt.messages]
    prompt.save()
    say(alice, pair, "first")
    answer = look(layout="hh")
    counted = answer.context["counted"]
    assert (counted.chosen, counted.written.rows) == (1, [])
    assert f"Pair {pair.pk}:" in counted.written.refused
    assert counted.written.refused.split(" Leave")[0] in unescape(answer.content.decode())


def test_pseudonyms_are_like_those_of_a_release_and_the_page_says_so(project: Any, varied: Any, look: Any) -> None:
    answer = look(layout="votes")
    said = {one.text for row in answer.context["counted"].written.rows for one in row if one.column == "annotator"}
    assert all(one.startswith("annotator-") for one in said)
    assert len(said) == 2
    assert "Pseudonyms are drawn when it is made" in answer.content.decode()
    assert "Pseudonyms are drawn" not in look(layout="votes", names="on").content.decode()


def test_a_prompt_with_too_many_pairs_is_left_to_the_release(
    project: Any, varied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "MOST_TOGETHER", 1)
    asked = plan(project=project, version="v1", layout="listwise")
    using = connections["default"]
    chosen = choose(asked, using=using)
    found = previewing.written(asked, chosen, chosen.pairs, using=using)
    assert (found.rows, found.refused.startswith("The first rows hold more than 1 pairs")) == ([], True)
