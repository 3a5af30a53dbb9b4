"""What models say without training, on the difficulty report: margins, rewards, misalignment; and asking a model."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import LanguageModel, Run
from curation.measuring import MarginsRequest, RewardsRequest, margins, rewards
from curation.measuring.margins import Scores
from curation.measuring.preferred import preferred_pairs
from curation.reports.untrained import untrained
from tests.workers.holding import held

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(project, lead, sign_in):
    def fetch():
        answer = sign_in(lead).get(reverse("difficulty", args=[project.slug]))
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", re.sub(r"</?(b|bdi|span)\b[^>]*>", "", unescape(answer.content.decode())))

    return fetch


@pytest.fixture
def measured(project, make_pair):
    """Ten pairs as a worker would have measured them: the model is wrong by token about the first `wrong`."""

    def measure(kind, model, *, wrong=2, toy=False):
        while project.pairs.count() < 10:
            make_pair(slots=0, label="first")
        request = {"margins": MarginsRequest, "rewards": RewardsRequest}[kind]
        asked = request(model=model, preference="source")
        hold = held(project, "measurement", asked.as_parameters())
        chosen = preferred_pairs(project=project, asked=asked)
        table = np.where(np.arange(10)[:, None] < wrong, [-3.0, -1.0], [-1.0, -3.0])
        result = {"revision": "sha256:0123456789abcdef", "not_scored": 0, "toy": toy}
        if kind == "margins":
            scores = Scores(table, np.ones((10, 2)))
            found = margins.store(hold, asked, chosen, scores=scores, reference=None, surprise={}, result=result)
        else:
            found = rewards.store(hold, chosen, rewards=table, toy=toy, result=result)
        hold.finish(result=found)
        return hold.run

    return measure


def test_margins_and_rewards_stand_side_by_side_with_model_and_revision(measured, shown):
    run = measured("margins", "writer")
    measured("rewards", "toy-rm", wrong=3, toy=True)
    page = shown()
    assert "Difficulty has not been measured here yet." in page
    assert re.search(r"writer <small title=\"sha256:0123456789abcdef\">sha256:01234…</small>", page)
    assert re.search(r"toy-rm <small>a toy</small>", page)
    assert "Log-likelihood margin" in page
    assert "Reward-model margin" in page
    assert reverse("run", args=[run.project.slug, run.pk]) in page
    assert "finds the other likelier by token" in page
    assert "20.0 %" in page
    assert "does not reward the better one more" in page
    assert "30.0 %" in page


def test_only_the_latest_run_of_a_model_is_shown(project, measured):
    measured("rewards", "rm", wrong=3)
    latest = measured("rewards", "rm", wrong=5)
    found = untrained(project)
    assert [one.run.pk for one in found.margins] == [latest.pk]
    assert [(one.value, one.n) for one in found.against] == [("50.0 %", 10)]
    # 1 - .5, whose interval is turned round too.
    assert found.against[0].interval == "23.7–76.3"


def test_the_shares_of_strategies_and_people_have_tables_of_their_own(project, measured, make_pair, say, alice, shown):
    for _ in range(10):
        say(alice, make_pair(slots=0, label="first"), "first")
    pair = project.pairs.first()
    pair.first.strategy = "demon"
    pair.first.save()
    measured("margins", "writer")
    page = shown()
    assert "writer, by what made the candidates" in page
    assert "no strategy and demon" in page
    assert "writer, by whose preference" in page
    assert "Not enough data: 10 of at least 30 pairs." in page


def test_a_lead_asks_a_model_for_what_it_can_say(project, lead, sign_in, make_pair, shown):
    assert "No model of the register can be asked here." in shown()
    usual = {"allowed_at": timezone.now(), "is_sound": True, "checked_at": timezone.now(), "check_said": "Loaded."}
    for name, backend in (("writer", "transformers_local"), ("rm", "reward_local")):
        LanguageModel.objects.create(name=name, backend=backend, location=f"/models/{name}", **usual)
    LanguageModel.objects.create(name="far", backend="openai_compatible", location="http://there/v1", **usual)
    page = shown()
    options = re.findall(r'<option value="(\w+)">', page[page.index('id="untrained"') :])
    # An endpoint scores no given text; a model that says how good an answer is was trained from none that scores.
    assert options == ["rm", "writer", "judgements", "source", "writer"]
    # What rewards cannot be trained.
    assert "rm" not in re.findall(r"<option>(\w+)</option>", page)
    client, address = sign_in(lead), reverse("difficulty", args=[project.slug])
    for name in ("rm", "writer", "rm"):
        sent = {"measure": "untrained", "model": name, "preference": "source"}
        assert client.post(address, sent).status_code == 302
    asked = [(run.parameters["measure"], run.parameters["model"]) for run in Run.objects.order_by("pk")]
    assert asked == [("rewards", "rm"), ("margins", "writer")]
    answer = client.post(address, {"model": "rm"})
    assert answer.status_code == 400
    assert "“rm” is a reward model" in unescape(answer.content.decode())
    assert "</a> asks writer." in shown()


def test_the_number_of_queries_hangs_on_no_number_of_pairs(
    project, measured, make_pair, lead, sign_in, django_assert_max_num_queries
):
    for n in range(3):
        measured("margins", f"m{n}")
        measured("rewards", f"r{n}")
    client = sign_in(lead)
    with django_assert_max_num_queries(40):
        assert client.get(reverse("difficulty", args=[project.slug])).status_code == 200
