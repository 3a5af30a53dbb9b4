"""Difficulty cuts of a draft by hand: sizes of models, the slider, and the chart that follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from curation.arrays import store_pair_values
from tests.browser.sitting import intercept, soon
from tests.browser.test_lead_pages import is_sound
from tests.browser.test_pages import LOOKS
from tests.curation.finished import finished

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
COUNT = "**/releases/new?*"


@pytest.fixture
def measured(project: Any, thirty: list[Any]) -> list[Any]:
    """Thirty pairs, each a little harder than the one before."""
    store_pair_values(
        run=finished(project, finished_at=project.created_at),
        metric="held_out_loss",
        pairs=[pair.pk for pair in thirty],
        values=np.arange(1.0, 31.0),
        n=np.ones(30, dtype=np.int64),
        undefined="none",
    )
    return thirty


def kept(page: Any) -> tuple[str, str]:
    return page.locator("#chart [data-kept]").inner_text(), page.locator("#chart [data-gone]").inner_text()


@pytest.mark.parametrize("look", LOOKS)
def test_a_size_of_a_model_and_the_slider_draw_the_cut(
    enter: Any, lead: Any, measured: list[Any], complaints: list[str], look: str
) -> None:
    page = enter(lead, reverse("release_new", args=["everyday"]), **LOOKS[look])
    field, slider, line = page.locator("#id_cuts"), page.locator("#cut-range"), page.locator("#chart .cutline.largest")
    assert (kept(page), line.count(), slider.input_value()) == (("30", "0"), 0, "100")
    counting: list[Any] = []
    # The first is held until the page was looked at without its answer.
    intercept(page, COUNT, lambda route: route.continue_() if counting else counting.append(route))
    page.get_by_label("About 3B").check()
    assert field.input_value() == "64"
    # The chart follows at once, the server's count a little later: 19 of 30 are int(30 * .64).
    assert (kept(page), slider.input_value(), line.count()) == (("19", "11"), "64", 1)
    assert page.locator("#go").inner_text() == "Count again"
    soon(lambda: page.wait_for_timeout(1) or counting)
    counting[0].continue_()
    page.get_by_text("trl_dpo-easiest-64").first.wait_for()
    assert kept(page) == ("19", "11")
    assert "cuts=64" in page.url
    page.get_by_label("About 14B").check()
    assert (field.input_value(), slider.input_value()) == ("64, 81", "81")
    page.get_by_text("trl_dpo-easiest-81").first.wait_for()
    page.locator("#cut-slider:visible").wait_for()
    is_sound(page)
    # The slider moves the largest; the keyboard's step is a hundredth, and the focus stays through the new count.
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert field.input_value() == "64, 80"
    page.get_by_text("trl_dpo-easiest-80").first.wait_for()
    assert page.evaluate("document.activeElement.id") == "cut-range"
    assert not page.get_by_label("About 14B").is_checked()
    page.keyboard.press("End")
    assert (field.input_value(), slider.input_value()) == ("64", "64"), "Without the largest, the next one is it."
    page.get_by_label("About 3B").uncheck()
    assert (field.input_value(), kept(page)) == ("", ("30", "0"))
    page.get_by_text("Without a cut every chosen pair").wait_for()
    # What is written by hand is understood, and a cut for a model of its own is left alone.
    field.fill("73 %")
    assert (slider.input_value(), page.get_by_label("About 7B").is_checked()) == ("73", True)
    field.fill("small=tiny:64\n50")
    assert slider.is_hidden()
    page.get_by_label("About 3B").check()
    assert field.input_value() == "50\n64\nsmall=tiny:64"
    assert complaints == []


def test_the_pairs_behind_a_count_are_one_link_away(
    enter: Any, lead: Any, measured: list[Any], complaints: list[str]
) -> None:
    page = enter(lead, reverse("release_new", args=["everyday"]))
    page.get_by_label("Agreement at least").fill("0.9")
    page.get_by_label("Agreement at least").blur()
    page.get_by_role("button", name="Release 20 pairs").wait_for()
    page.get_by_role("link", name="Show pairs removed: agreement>=0.9").click()
    page.wait_for_url("**show=*#removed")
    heading = page.get_by_role("heading", name="The 10 pairs that “agreement>=0.9” removes")
    heading.wait_for()
    assert page.get_by_label("Agreement at least").input_value() == "0.9"
    is_sound(page)
    with page.expect_navigation():
        page.locator("#removed tbody a").first.click()
    assert "/board/pairs/" in page.url
    assert complaints == []


def test_without_scripts_the_field_alone_draws_the_cut(enter: Any, lead: Any, measured: list[Any]) -> None:
    page = enter(lead, reverse("release_new", args=["everyday"]), java_script_enabled=False)
    assert page.locator("#capacities").is_hidden()
    assert page.locator("#cut-slider").is_hidden()
    page.locator("#id_cuts").fill("64")
    page.get_by_role("button", name="Count again").click()
    page.wait_for_url("**cuts=64*")
    assert kept(page) == ("19", "11")
