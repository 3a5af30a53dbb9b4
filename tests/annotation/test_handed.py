"""A pair whose texts a big import left unset is set when it is handed out, once."""

from __future__ import annotations

from annotation import assigning
from annotation.models import Candidate, Prompt
from annotation.rendering import RENDERER


def test_unset_texts_are_set_when_the_pair_is_handed_out(alice, make_pair, django_assert_max_num_queries):
    pair = make_pair(prompt="What is *this*?", first="A **word**.", second="Nothing.")
    Prompt.objects.update(html="", renderer=0)
    Candidate.objects.update(html="", renderer=0)
    [handed] = assigning.hand_out(user_id=alice.user_id, slug=alice.project.slug)
    shown = {handed.first, handed.second}
    assert "<em>this</em>" in handed.prompt
    assert any("<strong>word</strong>" in html for html in shown)
    pair.first.refresh_from_db()
    assert pair.first.renderer == RENDERER
    with django_assert_max_num_queries(3):
        [again] = assigning.held_by(user_id=alice.user_id, slug=alice.project.slug)
    assert (again.prompt, again.first, again.second) == (handed.prompt, handed.first, handed.second)
