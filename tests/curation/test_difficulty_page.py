"""The difficulty report: the finding first, the order's trust, the hardest to be judged again; and asking for it."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import LanguageModel, Run
from curation.measuring import DifficultyRequest
from tests.curation.trained import trained

pytestmark = pytest.mark.django_db


@pytest.fixture
def registered(db):
    def register(name, backend="transformers_local", location="/models/tiny", **fields):
        checked = {"is_sound": True, "checked_at": timezone.now(), "check_said": "Loaded."}
        usual = {"allowed_at": timezone.now(), "location": location} | checked
        return LanguageModel.objects.create(name=name, backend=backend, **(usual | fields))

    return register


@pytest.fixture
def shown_at(project, lead, sign_in):
    def fetch(query=""):
        answer = sign_in(lead).get(reverse("difficulty", args=[project.slug]) + query)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", re.sub(r"</?(b|span)\b[^>]*>", "", unescape(answer.content.decode())))

    return fetch


@pytest.fixture
def measured(project, make_pair):
    """Twenty pairs as a worker would have measured them: pair n has the loss .5 + n / 50 at every checkpoint."""

    def measure(model="tiny", number=20):
        for place in range(number):
            make_pair(prompt=f"Asked {place}", first=f"Good {place}", second=f"Bad {place}", slots=0, label="first")
        make_pair(slots=0, label="tie")
        asked = DifficultyRequest(model=model, preference="source", seeds="1,2", checkpoints=2)
        return trained(project, asked, lambda n: 0.5 + np.arange(n) / 50)

    return measure


def test_the_finding_comes_first_in_words(shown_at, measured):
    measured()
    shown = shown_at()
    heading = shown[shown.index("<h1") : shown.index("</h1>")]
    # .5 + n / 50 is above ln 2 from n = 10 on.
    assert "10 of 20 pairs (50.0 %) stay wrong for tiny after it has learned from the others." in heading
    assert "Low is easy" in shown
    assert "Left out: 1 tied." in shown
    assert "1.00" in shown[shown.index("Can it be trusted?") :]
    assert "the order can be gone by" in shown


def test_the_ten_hardest_are_to_be_judged_again_and_never_deleted_unseen(shown_at, measured):
    measured()
    shown = shown_at()
    assert "Flag them for relabelling; never delete them unseen." in shown
    places = [int(one) for one in re.findall(r'class="asked">\s*Asked (\d+)\s*<', shown)]
    assert places == list(range(19, 9, -1))
    assert re.search(r"Preferred</dt>\s*<dd>\s*Good 19\s*<", shown)
    assert "learned: never" in shown


def test_each_model_has_its_own_report(shown_at, measured):
    measured("tiny")
    measured("large", number=0)
    assert "stay wrong for large" in shown_at()
    assert "stay wrong for tiny" in shown_at("?model=tiny")
    assert "stay wrong for large" in shown_at("?model=nobody")


def test_a_lead_asks_for_one_run_of_the_gpu_queue(project, lead, sign_in, registered, shown_at, decided):
    assert "No model of the register can be trained" in shown_at()
    registered("tiny")
    registered("far", backend="openai_compatible", location="http://there/v1")
    shown = shown_at()
    assert "Difficulty has not been measured here yet." in shown
    assert "<option>tiny</option>" in shown
    assert "far" not in re.findall(r"<option>(\w+)</option>", shown)
    decided(10)
    client = sign_in(lead)
    for _ in range(2):
        answer = client.post(
            reverse("difficulty", args=[project.slug]), {"model": "tiny", "preference": "source", "batch": "1"}
        )
        assert answer.status_code == 302
    run = Run.objects.get()
    assert (run.parameters["queue"], run.parameters["model"], run.started_by) == ("gpu", "tiny", lead.user)
    assert f"Run {run.pk}</a> trains tiny" in shown_at()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"model": "nobody"}, "There is no model “nobody”."),
        ({"model": ""}, "Name the model that is to be trained"),
        ({"model": "tiny", "preference": "mine"}, "judgements or source, not 'mine'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(project, lead, sign_in, registered, sent, says):
    registered("tiny")
    answer = sign_in(lead).post(reverse("difficulty", args=[project.slug]), sent)
    assert answer.status_code == 400
    assert says in unescape(answer.content.decode())
    assert not Run.objects.exists()


@pytest.mark.parametrize("who", ["alice", "stranger"])
def test_nobody_else_sees_it(project, sign_in, who, request):
    client = sign_in(request.getfixturevalue(who))
    assert client.get(reverse("difficulty", args=[project.slug])).status_code in (403, 404)
    assert client.post(reverse("difficulty", args=[project.slug]), {"model": "tiny"}).status_code in (403, 404)


def test_the_number_of_queries_is_the_same_for_ten_and_for_forty_pairs(
    measured, project, lead, sign_in, django_assert_max_num_queries
):
    measured(number=40)
    client = sign_in(lead)
    with django_assert_max_num_queries(16):
        assert client.get(reverse("difficulty", args=[project.slug])).status_code == 200


@pytest.fixture
def decided(make_pair):
    """Let the source decide so many pairs."""

    def make(number):
        for place in range(number):
            make_pair(prompt=f"Asked {place}", first=f"Good {place}", second=f"Bad {place}", slots=0, label="first")

    return make


def test_too_few_pairs_are_said_before_anything_is_loaded_and_the_form_has_the_remedy(
    project, lead, sign_in, registered, decided
):
    registered("tiny")
    decided(40)
    client, address = sign_in(lead), reverse("difficulty", args=[project.slug])
    asked = {"model": "tiny", "preference": "source"}
    refused = client.post(address, asked)
    shown = unescape(refused.content.decode())
    assert refused.status_code == 400
    assert "20 pairs to train on give 1 steps of 16 pairs, fewer than the 5 checkpoints." in shown
    assert '<details class="settings" open>' in shown
    assert not Run.objects.exists()
    assert client.post(address, {**asked, "batch": "4", "learning_rate": "3e-3"}).status_code == 302
    parameters = Run.objects.get().parameters
    assert (parameters["batch"], parameters["learning_rate"], parameters["epochs"]) == (4, 0.003, 1)


@pytest.mark.parametrize(
    ("entered", "says"),
    [
        ({"batch": "many"}, "The setting batch is a whole number, not 'many'."),
        ({"learning_rate": "2"}, "The setting learning_rate is above 0 and at most 1, not 2.0."),
        ({"seeds": "1,1"}, "Give 1 to 20 different seeds, not '1,1'."),
    ],
)
def test_a_setting_out_of_range_is_refused_and_stays_as_it_was_entered(
    project, lead, sign_in, registered, decided, entered, says
):
    registered("tiny")
    decided(40)
    answer = sign_in(lead).post(
        reverse("difficulty", args=[project.slug]), {"model": "tiny", "preference": "source", **entered}
    )
    shown = unescape(answer.content.decode())
    assert answer.status_code == 400
    assert says in shown
    [(name, value)] = entered.items()
    assert re.search(rf'name="{name}"\s+value="{re.escape(value)}"', shown)


def test_the_model_that_it_was_trained_from_adds_the_implicit_reward(project, lead, sign_in, registered, decided):
    registered("tiny")
    registered("base", location="/models/base", revision="2")
    registered("judge-of-worth", backend="reward_local", location="/models/reward")
    decided(4)
    client, address = sign_in(lead), reverse("difficulty", args=[project.slug])
    asked = {"measure": "untrained", "model": "tiny", "preference": "source", "reference": "base"}
    assert client.post(address, asked).status_code == 302
    assert Run.objects.get().parameters["reference"] == "base"
    refused = client.post(address, {**asked, "model": "judge-of-worth"})
    assert refused.status_code == 400
    assert "its margin needs no reference" in unescape(refused.content.decode())
