"""Texts are set along the queue, once, and again when the renderer is newer."""

from __future__ import annotations

from typing import Any

import pytest

from annotation import rendering
from annotation.models import Candidate, Project, Prompt
from annotation.typesetting import BATCH, typeset, typeset_pairs

pytestmark = pytest.mark.django_db


def stale() -> None:
    Candidate.objects.update(renderer=0, html="")
    Prompt.objects.update(renderer=0, html="")


def set_of(pair: Any) -> list[bool]:
    pair = type(pair).objects.select_related("prompt", "first", "second").get(pk=pair.pk)
    return [bool(text.html) and text.renderer == rendering.RENDERER for text in (pair.prompt, pair.first, pair.second)]


def test_every_text_is_set_as_the_renderer_does_it(project: Project, make_pair: Any) -> None:
    pair = make_pair(prompt="Is **this** bold?", first="`yes`", second="no <b>")
    stale()
    assert typeset(project=project) == 3
    pair = type(pair).objects.select_related("prompt", "first", "second").get(pk=pair.pk)
    assert pair.first.html == rendering.render_candidate(pair.first.messages)
    assert pair.second.html == rendering.render_candidate(pair.second.messages)
    assert pair.prompt.html == rendering.render_prompt(pair.prompt.messages, "")
    assert "<b>" not in pair.second.html
    assert typeset(project=project) == 0


def test_the_first_of_the_queue_come_first(project: Project, make_pair: Any) -> None:
    late, early = make_pair(rank=20), make_pair(rank=10)
    stale()
    assert typeset(project=project, limit=1) == 3
    assert (set_of(early), set_of(late)) == ([True] * 3, [False] * 3)
    # The next call goes on where work is left.
    assert typeset(project=project, limit=1) == 3
    assert set_of(late) == [True] * 3


def test_a_text_of_an_older_renderer_is_set_again_and_others_are_left(
    project: Project, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair()
    stale()
    typeset(project=project)
    Candidate.objects.filter(pk=pair.first_id).update(renderer=rendering.RENDERER + 1, html="old")
    assert typeset_pairs(pairs=[pair.pk]) == 1
    assert set_of(pair) == [True] * 3


def test_pairs_of_others_and_out_of_play_are_left(project: Project, make_pair: Any, stranger: Any) -> None:
    from django.utils import timezone

    foreign = make_pair(into=stranger.project)
    out = make_pair(excluded_at=timezone.now())
    stale()
    assert typeset(project=project) == 0
    assert (set_of(foreign), set_of(out)) == ([False] * 3, [False] * 3)
    # Asked for by number, any pair is set: it is about to be shown.
    assert typeset_pairs(pairs=[out.pk, out.pk]) == 3


def test_statements_do_not_grow_with_the_texts(
    project: Project, make_pair: Any, django_assert_num_queries: Any
) -> None:
    pairs = [make_pair().pk for _ in range(8)]
    stale()
    with django_assert_num_queries(3):
        typeset_pairs(pairs=pairs)
    seen: list[int] = []
    stale()
    typeset(project=project, progress=seen.append)
    assert seen == [8]
    assert BATCH > 8
