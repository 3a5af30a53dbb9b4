"""The page of all reports: what was measured when, and its finding; and the tabs."""

from __future__ import annotations

import re
from typing import Any

from curation.models import Measurement
from curation.reports import index
from tests.curation.finished import finished


def test_each_report_says_when_it_was_measured_and_what_it_found(project: Any, lead: Any, sign_in: Any) -> None:
    client = sign_in(lead)
    page = client.get("/p/everyday/reports").content.decode()
    assert page.count("Not measured yet") == len(index.entries(project)) >= 2
    run = finished(project, parameters={"measure": "discretion", "whole": True})
    Measurement.objects.create(run=run, metric="consensus_share", value=0.625, n=8)
    page = client.get("/p/everyday/reports").content.decode()
    assert "On 62.5 % of pairs every relevant principle points the same way." in page
    assert f"{run.finished_at:%Y, %H:%M}" in page


def test_tabs_show_the_pages_that_there_are(project: Any, lead: Any, sign_in: Any, monkeypatch: Any) -> None:
    nowhere = index.ReportPage("nowhere", "Nowhere", "no_such_page", "?", "")
    monkeypatch.setattr("curation.templatetags.report_tabs.REPORTS", (*index.REPORTS, nowhere))
    for path, here in (("reports", "All reports"), ("reports/discretion", "Discretion"), ("judges", "Judges")):
        page = sign_in(lead).get(f"/p/everyday/{path}").content.decode()
        assert re.findall(r'aria-current="page">([^<]+)<', page) == ["Reports", here]
        assert "Nowhere" not in page


def test_findings_of_people_and_difficulty_are_told_from_their_runs(project: Any, lead: Any, sign_in: Any) -> None:
    told = {
        "people": {"judgements": 1200, "people": 1, "judges": 2},
        "difficulty": {"still_wrong": 13, "pairs": 40},
    }
    for measure, result in told.items():
        finished(project, parameters={"measure": measure, "whole": True, "model": "tiny"}, result=result)
    page = sign_in(lead).get("/p/everyday/reports").content.decode()
    assert "1,200 judgements by 1 person and 2 judges." in page
    assert "13 of 40 pairs stay wrong for tiny after it has learned from the others." in page


def test_a_number_that_rounds_to_nothing_has_no_sign(project: Any, lead: Any, sign_in: Any) -> None:
    run = finished(project, parameters={"measure": "agreement", "whole": True})
    Measurement.objects.create(run=run, metric="alpha_nominal", value=0.19, low=-0.001, high=0.34, n=8)
    assert "0.19 (0.00 to 0.34)" in sign_in(lead).get("/p/everyday/reports").content.decode()
