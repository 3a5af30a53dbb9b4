"""The import page in its states, a release, and polling that stops: in a real browser, axe-core content with each."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from annotation.models import Pair, Principle, Prompt, Run, User, Worker
from curation.models import Release
from tests.browser.test_pages import AXE, LONG, LOOKS, SIZES, cut_off, unsound, working

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def lines(*rows: dict[str, Any]) -> bytes:
    base = {"prompt": "Which is it?", "response_a": "This one.", "response_b": "That one."}
    return "\n".join(json.dumps({**base, "item_id": str(n), **row}) for n, row in enumerate(rows)).encode()


MIXED = lines(*({} for _ in range(5)), *({"response_a": ""} for _ in range(230)), {"label": "x\u202ey" + "w" * 300})
COLUMNS = b"question;first answer;second answer;better\n" + b"Which?;This.;That.;1\n" * 3


def upload(page: Any, name: str, data: bytes) -> None:
    page.goto(reverse("imports", args=["everyday"]))
    page.locator("#file").set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})
    page.get_by_role("button", name="Read the file").click()
    page.wait_for_url("**/import/*")


def is_sound(page: Any) -> None:
    """At every width, in the scheme of the look that the test has."""
    assert page.locator("h1").count() == 1
    assert unsound(page) == [], page.url


@pytest.mark.parametrize("look", LOOKS)
def test_a_file_comes_in_and_goes_again(enter: Any, lead: Any, complaints: list[str], look: str) -> None:
    """Upload, report, import, undo: with the buttons, in one session. Tasks run at once in tests."""
    page = enter(lead, **LOOKS[look])
    upload(page, f"{LONG}.jsonl", MIXED)
    page.get_by_role("heading", name="Decide").wait_for()
    assert page.get_by_text("1 to 200 of 231 refused lines").is_visible()
    is_sound(page)
    page.get_by_role("button", name="Import the 5 good ones").click()
    page.get_by_role("button", name="Undo this import").wait_for()
    is_sound(page)
    page.get_by_role("button", name="Undo this import").click()
    page.get_by_text("Undone.", exact=True).wait_for()
    is_sound(page)
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_prompts_come_in_for_models_to_answer(enter: Any, lead: Any, complaints: list[str], look: str) -> None:
    page = enter(lead, reverse("imports", args=["everyday"]), **LOOKS[look])
    file = {"name": f"{LONG}.csv", "mimeType": "text/csv", "buffer": b"prompt\nWhat is it?\nWhy?\n"}
    page.locator("#file").set_input_files(file)
    page.get_by_label("Questions without answers").check()
    page.get_by_role("button", name="Read the file").click()
    page.get_by_role("button", name="Import all 2 prompts").wait_for()
    is_sound(page)
    page.get_by_role("button", name="Import all 2 prompts").click()
    page.get_by_role("link", name="Let models answer them").wait_for()
    is_sound(page)
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_columns_are_named_and_unreadable_files_explained(
    enter: Any, lead: Any, complaints: list[str], look: str
) -> None:
    page = enter(lead, **LOOKS[look])
    upload(page, "comparisons.csv", COLUMNS)
    page.get_by_text("Name the columns.").wait_for()
    is_sound(page)
    page.get_by_label("First answer").select_option("second answer")
    page.get_by_role("button", name="Check with these columns").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("Second answer").get_attribute("aria-invalid") == "true"
    is_sound(page)
    upload(page, "picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 400)
    page.get_by_text("The file could not be checked.").wait_for()
    is_sound(page)
    assert complaints == []


def test_a_file_that_is_too_large_is_named_before_it_is_sent(enter: Any, lead: Any, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 10
    page = enter(lead, reverse("imports", args=["everyday"]))
    page.locator("#file").set_input_files({"name": "big.jsonl", "mimeType": "text/plain", "buffer": MIXED})
    assert "big.jsonl is larger" in page.locator("#file-err").inner_text()
    page.get_by_role("button", name="Read the file").click()
    assert page.url.endswith("/import")
    assert not Run.objects.exists()


@pytest.mark.parametrize("look", LOOKS)
def test_polling_shows_the_end_and_stops(enter: Any, lead: Any, project: Any, complaints: list[str], look: str) -> None:
    at = {
        "phase": "check",
        "file": "round3.jsonl",
        "size": 9,
        "holds": "pairs",
        "upload": "x",
        "allow": [],
        "sha256": "",
    }
    run = Run.objects.create(project=project, kind="import", code_version="t", parameters=at)
    page = enter(lead, reverse("import_run", args=["everyday", run.pk]), **LOOKS[look])
    overview = enter(lead, reverse("overview", args=["everyday"]), **LOOKS[look])
    for one in (page, overview):
        assert one.locator("[hx-trigger]").count() == 1
        is_sound(one)
    Run.objects.filter(pk=run.pk).update(state="failed", error="The disk is full.", finished_at=timezone.now())
    page.get_by_text("The disk is full.").first.wait_for()
    overview.get_by_text("All runs have ended.").wait_for()
    assert page.locator("#said").inner_text() == "Failed: The disk is full."
    for one in (page, overview):
        assert one.locator("[hx-trigger]").count() == 0
        is_sound(one)
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("address", ["runs", "overview"])
def test_the_banner_comes_and_goes_while_one_looks(
    enter: Any, lead: Any, project: Any, complaints: list[str], address: str, look: str
) -> None:
    Run.objects.create(project=project, kind="generation", code_version="t")
    worker = Worker.objects.create(name="gpu", queues=["gpu"], seen_at=timezone.now() + timedelta(hours=1))
    page = enter(lead, reverse(address, args=["everyday"]), **LOOKS[look])
    alert = page.get_by_role("alert")
    expect(alert).to_have_count(0)
    Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now() - timedelta(hours=1))
    expect(alert).to_contain_text("1 run waits and no worker is alive.")
    # It was put in later, and can be copied all the same.
    expect(alert.get_by_role("button", name="Copy")).to_be_visible()
    if address == "runs":
        expect(page.locator("#workers")).to_have_text("No worker is alive")
    is_sound(page)
    Worker.objects.filter(pk=worker.pk).update(seen_at=timezone.now() + timedelta(hours=1))
    expect(alert).to_have_count(0)
    if address == "runs":
        expect(page.locator("#workers")).to_contain_text("1 worker alive")
    assert complaints == []


@pytest.fixture
def working_runs(project: Any, lead: Any, make_pair: Any) -> int:
    """Models with long names, runs in every state; the newest has made candidates."""
    working(project, {"lead": lead}, make_pair)
    return int(project.runs.latest("pk").pk)


@pytest.mark.parametrize("look", LOOKS)
def test_the_better_model_is_asked_for_where_a_strategy_wants_two(
    enter: Any, lead: Any, working_runs: int, complaints: list[str], look: str
) -> None:
    page = enter(lead, reverse("runs", args=["everyday"]), **LOOKS[look])
    better = page.get_by_label("Meant to be better")
    expect(better).to_be_hidden()
    page.locator("#id_which").select_option("all")
    page.locator("#id_strategy").select_option("nparam")
    expect(better).to_be_visible()
    for box in page.locator("#start-run [name=models]").all():
        box.check()
    expect(page.locator("#estimate")).to_contain_text("Say which of the two models is meant to be better.")
    is_sound(page)
    better.select_option("Toy")
    expect(page.locator("#estimate")).to_contain_text("Toy meant to be better than")
    is_sound(page)
    page.locator("#id_strategy").select_option("plain")
    expect(better).to_be_hidden()
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", ["generate", "judge"])
def test_everything_in_the_forms_of_runs_is_sound(
    enter: Any, lead: Any, project: Any, working_runs: int, complaints: list[str], kind: str, look: str
) -> None:
    for n in range(30):
        Principle.objects.create(project=project, key=f"k{n}", short=LONG[:100], text=".")
    Prompt.objects.update(source=LONG)
    Pair.objects.update(source=LONG)
    page = enter(lead, reverse("runs", args=["everyday"]) + f"?kind={kind}", **LOOKS[look])
    for one in page.locator("#start-run details").all():
        one.locator("summary").click()
    is_sound(page)
    assert cut_off(page) == []
    if kind == "judge":
        page.locator("#start-run [name=principles]").first.check()
        expect(page.locator("#estimate")).to_contain_text("the judge is not asked about principles")
    else:
        page.locator("#id_which").select_option("all")
        page.locator("#id_limit").fill("1")
        page.locator("#id_source").select_option(LONG)
        expect(page.locator("#estimate")).to_contain_text("1 prompt × 4 = 4 candidates")
    assert complaints == []


@pytest.mark.parametrize("close", ["Escape", "the link"])
def test_who_closes_a_log_is_back_at_the_link_that_opened_it(
    enter: Any, lead: Any, working_runs: int, complaints: list[str], close: str
) -> None:
    page = enter(lead, reverse("runs", args=["everyday"]))
    page.locator(f"#log-of-{working_runs}").press("Enter")
    drawer = page.locator(f"#log-{working_runs}")
    expect(drawer.locator("h2")).to_be_focused()
    if close == "Escape":
        page.keyboard.press("Escape")
    else:
        drawer.get_by_role("link", name="Close").press("Enter")
    expect(drawer).to_be_hidden()
    expect(page.locator(f"#log-of-{working_runs}")).to_be_focused()
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_what_a_run_made_opens_with_its_origin(
    enter: Any, lead: Any, working_runs: int, complaints: list[str], look: str
) -> None:
    page = enter(lead, reverse("run", args=["everyday", working_runs]), **LOOKS[look])
    assert page.locator("details.origin").count() == 10
    first = page.locator("details.origin").first
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(first.get_by_text("Meant to be worse")).to_be_visible()
    is_sound(page)
    assert cut_off(page) == []
    page.get_by_role("link", name="See its 9 pairs on the board").click()
    page.wait_for_url("**/board?run=*")
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_a_release_is_sound(
    enter: Any, lead: Any, project: Any, tmp_path: Any, complaints: list[str], look: str
) -> None:
    folder = tmp_path / "v1"
    folder.mkdir()
    guideline = "````markdown\n# How to judge\n" + "Read both answers to their end. " * 20 + f"{LONG}\n````\n"
    (folder / "README.md").write_text(
        f"# {LONG}\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | {LONG} |\n\n{guideline}"
    )
    (folder / "manifest.json").write_text("{}")
    manifest = {
        "pairs": 5,
        "criteria": [LONG],
        "steps": [{"name": f"source={LONG}", "removed": 0, "left": 5}, {"name": "tie", "removed": 1, "left": 4}],
        "files": [{"path": "README.md", "bytes": 1, "sha256": "ab" * 32}],
    }
    Release.objects.create(
        project=project,
        version="v1",
        rule="majority",
        layout="trl_dpo",
        manifest=manifest,
        digest="0" * 64,
        rows=4,
        folder=str(folder),
    )
    page = enter(lead, reverse("release", args=["everyday", "v1"]), **LOOKS[look])
    # The guideline in the card is prose: nobody reads it by scrolling each line.
    assert page.locator(".card pre").evaluate("e => e.scrollWidth - e.clientWidth") == 0
    is_sound(page)
    is_sound(enter(lead, reverse("releases", args=["everyday"]), **LOOKS[look]))
    assert complaints == []


@pytest.mark.parametrize("look", LOOKS)
def test_a_draft_becomes_a_release(
    enter: Any, lead: Any, thirty: list[Any], settings: Any, complaints: list[str], look: str
) -> None:
    """Choose, see the counts come by themselves, release, verify: with the buttons. Tasks run at once in tests."""
    page = enter(lead, reverse("releases", args=["everyday"]), **LOOKS[look])
    page.get_by_role("link", name="New release").click()
    page.get_by_role("button", name="Release 30 pairs").wait_for()
    is_sound(page)
    agreement = page.get_by_label("Agreement at least")
    agreement.fill("0.9")
    assert page.locator("#go").inner_text() == "Count again"
    agreement.blur()
    page.get_by_role("button", name="Release 20 pairs").wait_for()
    assert "agreement=0.9" in page.url
    assert "csrf" not in page.url
    assert page.locator("#rail [data-count=chosen]").inner_text() == "20"
    is_sound(page)
    page.get_by_label("Criteria").fill("colour=blue")
    page.get_by_label("Criteria").blur()
    page.get_by_role("alert").wait_for()
    is_sound(page)
    page.get_by_label("Criteria").fill("")
    page.get_by_label("Criteria").blur()
    page.get_by_role("button", name="Release 20 pairs").wait_for()
    page.locator("#id_version").fill("v1")
    page.get_by_role("button", name="Release 20 pairs").click()
    page.wait_for_url("**/releases/v1")
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("every row follows from the judgements").wait_for()
    is_sound(page)
    assert complaints == []


def test_without_scripts_the_same_is_done_with_the_buttons(enter: Any, lead: Any, thirty: list[Any]) -> None:
    page = enter(lead, reverse("release_new", args=["everyday"]), java_script_enabled=False)
    page.get_by_label("Agreement at least").fill("0.9")
    page.get_by_role("button", name="Count again").click()
    page.wait_for_url("**agreement=0.9*")
    page.locator("#id_version").fill("v1")
    page.get_by_role("button", name="Release 20 pairs").click()
    page.wait_for_url("**/releases/v1")


def test_the_list_without_any_project_is_sound(enter: Any, db: None, admin: Any, alice: Any) -> None:
    alice.project.delete()
    for who in (admin, alice.user):
        page = enter(who, reverse("projects"))
        page.get_by_role("heading", name="No project yet").wait_for()
        is_sound(page)


def test_what_stands_above_a_page_begins_where_the_page_does(enter: Any, lead: Any, project: Any) -> None:
    """The line of a demo project, at every width: some pages have margins of their own."""
    type(project).objects.update(is_demo=True)
    page = enter(lead)
    for name in ("runs", "discretion", "judges", "board_compare"):
        page.goto(reverse(name, args=["everyday"]))
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            above = page.get_by_text("Example, simulated.").bounding_box()
            heading = page.locator("h1").bounding_box()
            assert abs(above["x"] - heading["x"]) <= 1, (name, width)


def test_the_buttons_of_a_run_are_called_what_they_show(enter: Any, lead: Any, project: Any) -> None:
    Run.objects.create(project=project, kind="import", state="done", code_version="t", finished_at=timezone.now())
    Run.objects.create(project=project, kind="judging", state="done", code_version="t", finished_at=timezone.now())
    page = enter(lead, reverse("runs", args=["everyday"]))
    assert page.locator("[id^=log-of]").count() == 2
    page.evaluate(AXE.read_text())
    rule = "{ runOnly: { type: 'rule', values: ['label-content-name-mismatch'] } }"
    found = page.evaluate(f"axe.run(document, {rule}).then(result => result.violations.flatMap(one => one.nodes))")
    assert [node["target"] for node in found] == []


# What is seen of the parts of the hour in the bar: each whole, or not at all.
HOUR = """() => {
  const bar = document.querySelector('.asof'), box = bar.getBoundingClientRect(), word = document.createRange();
  word.selectNodeContents([...bar.childNodes].find(node => node.nodeType === 3 && node.data.trim()));
  return [word, bar.querySelector('span')].map(part => {
    const at = part.getBoundingClientRect();
    if (at.top >= box.bottom - 1) return 'not seen';
    return at.left >= box.left - 1 && at.right <= box.right + 1 ? 'whole' : 'cut';
  });
}"""


def test_the_hour_in_the_bar_is_seen_whole_or_not_at_all(enter: Any, lead: Any) -> None:
    """Beside all sections there is room for all of it, for the hour alone or for nothing."""
    User.objects.filter(pk=lead.user_id).update(name="Maximiliane von Hohenheim")
    page = enter(lead, reverse("overview", args=["everyday"]))
    seen = set()
    for width in range(1280, 1700, 10):
        page.set_viewport_size({"width": width, "height": 900})
        seen.add(tuple(page.evaluate(HOUR)))
    # How wide that is hangs on the fonts of the machine.
    assert ("whole", "whole") in seen
    assert seen <= {("not seen", "not seen"), ("not seen", "whole"), ("whole", "whole")}
