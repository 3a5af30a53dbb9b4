"""How far the order of difficulty can be gone by is said wherever the order is shown."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse

from curation import gathering
from curation.measuring import DifficultyRequest
from curation.trust import in_words, trust_in
from tests.curation.trained import trained


@pytest.mark.parametrize(
    ("trust", "says"),
    [
        (None, ""),
        (0.7, "can be gone by"),
        (0.69, "go by the top and bottom tenths"),
        (0.4, "go by the top and bottom tenths"),
        (0.39, "do not go by this order"),
        (-0.5, "do not go by this order"),
    ],
)
def test_the_figure_is_put_into_words(trust, says):
    assert says in in_words(trust)
    assert bool(in_words(trust)) == (trust is not None)


@pytest.fixture
def measured(project, make_pair):
    """Twelve pairs whose order two trainings turn round: nothing could be trusted less."""
    for n in range(12):
        make_pair(slots=0, external_id=str(n), label="first")
    asked = DifficultyRequest(model="tiny", preference="source", seeds="41,42", checkpoints=1)
    turned = iter((1, -1))
    return trained(project, asked, lambda n: np.linspace(0.5, 0.9, n)[:: next(turned)])


@pytest.mark.django_db(transaction=True)
def test_board_drawer_and_draft_say_it(project, measured, lead, sign_in):
    assert trust_in(measured.pk) == pytest.approx(-1)
    assert trust_in(None) is None
    gathering.gather_facts(project=project)
    client = sign_in(lead)

    def shown(name, *args, query=""):
        answer = client.get(reverse(name, args=[project.slug, *args]) + query)
        return re.sub(r"\s+", " ", unescape(answer.content.decode()))

    assert "Its trust: <b>−1.00</b>" in shown("board")
    assert "trust in this order −1.00" in shown("board_pair", project.pairs.first().pk)
    draft = shown("release_new", query="?rule=label&cuts=50")
    assert "Trust −1.00." in draft
    assert "The seeds hardly agree: do not go by this order." in draft


@pytest.mark.django_db
def test_where_nothing_was_trained_nothing_is_said(project, make_pair, lead, sign_in):
    make_pair(slots=0)
    gathering.gather_facts(project=project)
    answer = sign_in(lead).get(reverse("board", args=[project.slug]))
    assert "Its trust" not in answer.content.decode()
