"""The report of faithfulness: the finding in words, everybody's figures, growing rationales; and asking a model."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.models import LanguageModel, Run
from curation.measuring import FaithfulnessRequest, faithfulness
from curation.measuring.faithfulness import Answers
from curation.measuring.growing import Growing
from curation.reports.index import entries
from tests.workers.holding import held

pytestmark = pytest.mark.django_db


@pytest.fixture
def shown(project, lead, sign_in):
    def fetch(query=""):
        answer = sign_in(lead).get(reverse("faithfulness_report", args=[project.slug]) + query)
        assert answer.status_code == 200
        return re.sub(r"\s+", " ", re.sub(r"</?(b|bdi|span|small)\b[^>]*>", "", unescape(answer.content.decode())))

    return fetch


@pytest.fixture
def measured(project, alice, robot):
    """A finished run: of Alice's twenty reasons and the judge's five; nothing is drawn."""

    def store(model="tiny", *, needs=0.3, pairs=20, **settings):
        asked = FaithfulnessRequest(model=model, **settings)
        hold = held(project, "measurement", asked.as_parameters())
        whose = np.array([alice.pk] * 20 + [robot.pk] * 5)
        none = Answers.none(whose, n_perturbations=1)
        answers = Answers(
            annotator=whose,
            full=np.full(25, 0.8),
            without=np.full(25, 0.8 - needs),
            only=np.full(25, 0.75),
            told=np.full(25, 0.8),
            untold=np.full(25, 0.8 / np.e**2),
            perturbed=none.perturbed,
        )
        shares = asked.shares
        grown = Growing(
            full=np.full(pairs, 0.8),
            without=np.tile(0.8 - 0.1 * np.arange(len(shares)), (pairs, 1)),
            only=np.tile(0.7 + 0.02 * np.arange(len(shares)), (pairs, 1)),
            left_out=4,
        )
        told = {"revision": "r", "toy": False, "not_answered": 1}
        hold.finish(result=faithfulness.store(hold, asked, answers, grown, result=told))
        return hold.run

    return store


def heading(page):
    return page[page.index("<h1") : page.index("</h1>")]


def section(page, title):
    start = page.index(f">{title}</h2>")
    return page[start : page.index("</section>", start)]


def register(name, backend="transformers_local"):
    now = timezone.now()
    checked = {"is_sound": True, "checked_at": now, "check_said": "Loaded.", "allowed_at": now}
    return LanguageModel.objects.create(name=name, backend=backend, location=f"/models/{name}", **checked)


def test_without_a_measurement_it_says_how_to_start_one(shown):
    page = shown()
    assert "Faithfulness has not been measured here yet." in heading(page)
    assert "manage.py measure faithfulness --project everyday --set model=NAME" in page
    assert "No model of the register can answer here." in page


def test_a_model_that_answers_is_asked_once(project, lead, sign_in, shown):
    register("tiny")
    register("rewarder", "reward_local")
    assert re.findall(r"<option[^>]*>([^<]+)<", shown()) == ["tiny"]
    client, address = sign_in(lead), reverse("faithfulness_report", args=[project.slug])
    for _ in range(2):
        assert client.post(address, {"model": "tiny"}).status_code == 302
    run = Run.objects.get()
    assert (run.parameters["queue"], run.parameters["model"], run.started_by) == ("gpu", "tiny", lead.user)
    assert f"Run {run.pk}</a> asks tiny" in shown()


def test_a_model_that_may_not_be_used_is_refused_on_the_page(project, lead, sign_in):
    for model in ("", "nobody"):
        answer = sign_in(lead).post(reverse("faithfulness_report", args=[project.slug]), {"model": model})
        assert answer.status_code == 400
        assert 'role="alert"' in answer.content.decode()
    assert not Run.objects.exists()


def test_the_finding_comes_first_in_points(measured, shown, project):
    measured()
    said = heading(shown())
    assert "Without what people marked, tiny is 30.0 points (30.0 to 30.0) less sure of its answer" in said
    assert "with nothing but that, 5.0 points (5.0 to 5.0) less sure." in said
    [entry] = [one for one in entries(project) if one.report.key == "faithfulness"]
    assert entry.finding.startswith("Without what people marked, tiny is 30.0 points")


def test_a_model_that_is_surer_without_them_is_said_so(measured, shown):
    measured(needs=-0.1)
    assert "tiny is 10.0 points more sure of its answer" in heading(shown())


def test_everybody_has_their_own_line_and_few_reasons_are_not_enough(measured, shown):
    measured()
    needed = section(shown(), "What is marked is needed")
    assert needed.index("All people") < needed.index("Alice") < needed.index("robot-1")
    assert needed.count("0.30") >= 2
    assert "Not enough data: 5 of at least 10 rationales." in needed
    helps = section(shown(), "What is written helps")
    # Two nats, on an axis that holds them.
    assert "2.00" in helps
    assert "From −2 to 2" in helps
    counts = section(shown(), "The words of it count")
    assert "not enough data" in counts


def test_growing_rationales_have_each_share_and_what_was_left_out(measured, shown):
    measured()
    grown = section(shown(), "Growing rationales")
    # The mean of 0 to .4.
    assert "0.20" in grown
    for share, change in (("1 %", "+0.000"), ("5 %", "+0.100"), ("50 %", "+0.400")):
        assert re.search(rf'{share}</th> <td class="num">{re.escape(change)}</td>', grown)
    assert "4 that fewer marked are left out" in grown


def test_too_few_pairs_are_not_enough_and_no_thresholds_have_no_section(measured, shown):
    measured(pairs=3)
    assert "Not enough data: 3 of at least 10 pairs that 2 people marked." in section(shown(), "Growing rationales")
    measured(thresholds="")
    assert "Growing rationales</h2>" not in shown()


def test_each_model_has_its_own_report(measured, shown):
    measured("tiny")
    measured("large", needs=0.5)
    assert "large is 50.0 points" in heading(shown())
    assert "tiny is 30.0 points" in heading(shown("?model=tiny"))
    assert "large is 50.0 points" in heading(shown("?model=nobody"))


def test_only_leads_see_it(project, alice, stranger, sign_in):
    address = reverse("faithfulness_report", args=[project.slug])
    assert sign_in(alice).get(address).status_code in (403, 404)
    assert sign_in(stranger).get(address).status_code == 404
