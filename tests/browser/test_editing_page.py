"""Editing the better answer in a real browser: by keyboard alone, never lost, sent with the verdict it belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from annotation.models import Edit, Judgement, Project
from tests.browser.sitting import JUDGE, comes_true, press_and_go_on, shown, soon
from tests.browser.test_pages import LOOKS, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _editable(project: Any) -> None:
    Project.objects.filter(pk=project.pk).update(allow_edits=True)


def open_edit(page: Any) -> Any:
    page.keyboard.press("e")
    sheet = page.locator("#edit")
    expect(sheet).to_be_visible()
    return sheet


def test_the_better_answer_is_edited_by_keyboard_alone(enter: Any, make_pair: Any, alice: Any) -> None:
    for _ in range(2):
        make_pair(first="The harbour is open.", second="The harbour is closed, I think.")
    page = enter(alice, JUDGE)
    page.keyboard.press("e")
    expect(page.locator("[data-live]")).to_have_text("Choose the better answer first.")
    page.keyboard.press("2")
    sheet = open_edit(page)
    text = page.locator("#edit-text")
    expect(text).to_be_focused()
    before = text.input_value()
    page.keyboard.press("Control+End")
    page.keyboard.type(" Ships come in at noon.")
    expect(sheet.locator("ins")).to_contain_text("Ships come in at noon.")
    expect(sheet.locator("[data-edit-count]")).to_have_text("+5 words")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator("[data-edit-said]")).to_have_text("+5 words")
    press_and_go_on(page, "Enter", "Enter")
    edit = soon(lambda: Edit.objects.select_related("candidate").first())
    assert edit.text == before + " Ships come in at noon." == edit.candidate.text + " Ships come in at noon."
    assert edit.edit_distance == len(" Ships come in at noon.")
    expect(page.locator("[data-edit-said]")).to_have_text("")


def test_an_edit_survives_a_reload_and_a_change_of_mind(enter: Any, make_pair: Any, alice: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("2")
    open_edit(page)
    page.keyboard.press("Control+End")
    page.keyboard.type(" 👩‍👩‍👧 é")
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("6")
    expect(page.locator("[data-edit-said]")).to_have_text("")
    page.keyboard.press("1")
    expect(page.locator("[data-edit-said]")).not_to_have_text("")
    open_edit(page)
    assert page.locator("#edit-text").input_value().endswith(" 👩‍👩‍👧 é")


def test_an_edit_of_the_other_answer_is_told_once_before_it_is_left_out(enter: Any, make_pair: Any, alice: Any) -> None:
    make_pair()
    page = enter(alice, JUDGE)
    page.keyboard.press("2")
    open_edit(page)
    page.keyboard.type("X")
    page.keyboard.press("Escape")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    expect(page.locator("[data-line]")).to_contain_text("is left out")
    assert not Judgement.objects.exists()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    soon(Judgement.objects.exists)
    assert not Edit.objects.exists()


def test_it_can_be_taken_back_and_an_answer_opened_again_holds_it(enter: Any, make_pair: Any, alice: Any) -> None:
    for _ in range(2):
        make_pair()
    page = enter(alice, JUDGE)
    number = shown(page)
    page.keyboard.press("2")
    open_edit(page)
    page.keyboard.type("X")
    page.get_by_role("button", name="Take the edit back").click()
    expect(page.locator("[data-edit-count]")).to_have_text("Nothing is changed.")
    page.keyboard.type("Y")
    page.keyboard.press("Escape")
    press_and_go_on(page, "Enter", "Enter")
    assert Edit.objects.exists()
    page.goto(f"/p/everyday/answers/{number}")
    open_edit(page)
    assert page.locator("#edit-text").input_value().endswith("Y")
    page.keyboard.press("Control+Home")
    page.keyboard.type("Z")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    soon(lambda: Edit.objects.count() == 2)
    text = Edit.objects.get(judgement__is_current=True).text
    assert (text[0], text[-1]) == ("Z", "Y")


@pytest.mark.parametrize("look", LOOKS)
def test_the_sheet_has_no_faults_and_fits(enter: Any, make_pair: Any, alice: Any, look: str) -> None:
    make_pair(first="A long line without a break: " + "x" * 300, second="The other.\n\n" * 80)
    page = enter(alice, JUDGE, **LOOKS[look])
    page.keyboard.press("2")
    open_edit(page)
    page.keyboard.type("Changed. ")
    comes_true(page, "() => document.querySelector('[data-edit-diff] ins')")
    assert faults(page) == []
    wide = page.evaluate("document.querySelector('#edit').scrollWidth - document.querySelector('#edit').clientWidth")
    assert wide <= 0


def test_where_edits_are_off_the_key_does_nothing(enter: Any, make_pair: Any, alice: Any) -> None:
    make_pair()
    Project.objects.update(allow_edits=False)
    page = enter(alice, JUDGE)
    page.keyboard.press("2")
    page.keyboard.press("e")
    expect(page.locator("#edit")).to_have_count(0)
    expect(page.locator("[data-line]")).to_contain_text("A better")
