"""The page of all reports: what was measured when, and its finding; and the tabs."""

from __future__ import annotations

import re
from typing import Any

from django.utils import timezone

from annotation.models import Run
from curation.models import Measurement
from curation.reports import index


def test_each_report_says_when_it_was_measured_and_what_it_found(project: Any, lead: Any, sign_in: Any) -> None:
    client = sign_in(lead)
    page = client.get("/p/everyday/reports").content.decode()
    assert page.count("Not measured yet") == len(index.entries(project)) >= 2
    run = Run.objects.create(
        project=project,
        kind="measurement",
        state="done",
        code_version="t",
        finished_at=timezone.now(),
        parameters={"measure": "discretion", "whole": True},
    )
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
