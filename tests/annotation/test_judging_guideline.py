"""The guideline beside the judging page: read, acknowledged, and stamped on what is answered under it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from annotation import guiding
from annotation.models import (
    Annotator,
    Guideline,
    GuidelineReading,
    Judgement,
    Project,
)
from tests.annotation.desks import FETCH, JUDGE, MakePair, SignIn, fields, opened, post

pytestmark = pytest.mark.django_db


def test_the_guideline_is_read_and_acknowledged(desk: Client, project: Project, alice: Annotator) -> None:
    assert desk.get(f"{JUDGE}/guideline").status_code == 404
    guideline = Guideline.objects.create(project=project, version=1, text="Be fair.", html="<p>Be fair.</p>")
    Project.objects.update(guideline=guideline)
    answer = desk.get(f"{JUDGE}/guideline")
    assert "<p>Be fair.</p>" in answer.content.decode()
    assert answer.context["read"] is False
    assert post(desk, f"{JUDGE}/guideline", {}).status_code == 204
    assert GuidelineReading.objects.filter(annotator=alice, guideline=guideline).exists()


def test_a_version_is_asked_about_until_it_is_acknowledged(make_pair: MakePair, desk: Client, project: Project) -> None:
    make_pair()
    guiding.publish_guideline(project=project, text="Old rule.")
    assert desk.get(JUDGE).context["unread"]
    assert "<ins>" not in desk.get(f"{JUDGE}/guideline").content.decode()
    post(desk, JUDGE, fields(opened(desk)[0]))
    make_pair()
    guiding.publish_guideline(project=project, text="New rule.")
    assert desk.get(JUDGE).context["unread"]
    dialog = desk.get(f"{JUDGE}/guideline").content.decode()
    assert ("<ins>New</ins>" in dialog, "under which you have answered" in dialog) == (True, True)
    assert "<ins>New</ins>" in desk.get("/p/everyday/guideline").content.decode()
    # A third version comes while the second is read: only the second is acknowledged.
    guiding.publish_guideline(project=project, text="Newest rule.")
    assert post(desk, f"{JUDGE}/guideline", {"version": "2"}).status_code == 204
    assert [one.guideline.version for one in GuidelineReading.objects.all()] == [2]
    assert desk.get(JUDGE).context["unread"]
    dialog = desk.get(f"{JUDGE}/guideline").content.decode()
    assert ("<del>New</del>" in dialog, "which you have read" in dialog) == (True, True)
    post(desk, f"{JUDGE}/guideline", {"version": "3"})
    assert not desk.get(JUDGE).context["unread"]
    assert post(desk, f"{JUDGE}/guideline", {"version": "4"}).status_code == 404


@pytest.mark.parametrize("by_script", [True, False], ids=["script", "plain form"])
def test_an_answer_is_stamped_with_the_version_on_the_screen(
    make_pair: MakePair, desk: Client, project: Project, sign_in: SignIn, lead: Annotator, by_script: bool
) -> None:
    for _ in range(5):
        make_pair()
    options: dict[str, Any] = {"headers": FETCH} if by_script else {}

    def send(item: dict[str, Any], **more: Any) -> Any:
        return desk.post(JUDGE, fields(item, reminded="1", **more), **options)

    def stamp() -> int | None:
        guideline = Judgement.objects.order_by("-pk")[0].guideline
        return guideline.version if guideline else None

    held = opened(desk)
    before = desk.get(JUDGE).content.decode()
    assert 'name="guideline" value="0"' in before
    first = guiding.publish_guideline(project=project, text="Old rule.")
    send(held[0], guideline="0")
    assert stamp() is None, "The page had none."
    assert f'name="guideline" value="{first.pk}"' in desk.get(JUDGE).content.decode()
    guiding.publish_guideline(project=project, text="New rule.")
    send(held[1], guideline=first.pk)
    assert stamp() == 1
    send(held[2])
    assert stamp() == 2, "A page of before this field was sent: the one in force."
    last = opened(desk)[0]
    elsewhere = Guideline.objects.create(
        project=Project.objects.create(slug="other", name="Other"), version=1, text="…", html="…"
    )
    for wrong in (elsewhere.pk, 10**15, "x"):
        assert send(last, guideline=wrong).status_code == 422, wrong
    assert not Judgement.objects.filter(assignment=last["assignment"]).exists()


def test_a_changed_answer_is_stamped_with_the_version_on_the_screen(
    make_pair: MakePair, desk: Client, project: Project
) -> None:
    make_pair()
    first = guiding.publish_guideline(project=project, text="Old rule.")
    item = opened(desk)[0]
    post(desk, JUDGE, fields(item, guideline=first.pk))
    guiding.publish_guideline(project=project, text="New rule.")
    path = f"/p/everyday/answers/{item['assignment']}"
    again = {"key": uuid.uuid4(), "verdict": "b1", "revision": 1, "guideline": first.pk}
    assert post(desk, path, again).status_code == 200
    now = {"key": uuid.uuid4(), "verdict": "b2", "revision": 2, "guideline": ""}
    assert post(desk, path, now).status_code == 200
    stamps = Judgement.objects.order_by("revision").values_list("guideline__version", flat=True)
    assert list(stamps) == [1, 1, 2]


def test_a_plain_form_is_held_once_until_the_guideline_is_read(
    make_pair: MakePair, desk: Client, project: Project
) -> None:
    make_pair()
    guiding.publish_guideline(project=project, text="Be fair.")
    answer = fields(opened(desk)[0], note="Mine.")
    held = desk.post(JUDGE, answer)
    assert (held.status_code, held.context["error_field"]) == (422, "guideline")
    page = held.content.decode()
    assert "Mine." in page
    assert 'name="reminded" value="1"' in page
    assert not Judgement.objects.exists()
    assert desk.post(JUDGE, {**answer, "reminded": "1"}).status_code == 303
    assert Judgement.objects.get().rationales.get().text == "Mine."


def test_a_pair_in_another_language_than_the_guideline_is_told_so_and_shown_all_of_it(
    make_pair: MakePair, desk: Client, project: Project
) -> None:
    make_pair(prompt="Wie gieße ich Basilikum?", first="Von unten, alle drei Tage.", second="Gar nicht.")
    make_pair(prompt="Do these numbers add up?", first="Yes, the numbers add up.", second="No.")
    rules = "Say whether the numbers add up, and where they do not.\n\nThe shorter of the two is not the better one."
    guiding.publish_guideline(project=project, text=rules)
    post(desk, f"{JUDGE}/guideline", {})
    told = "No paragraph shares words with this pair."
    seen = {}
    for item in opened(desk):
        page = desk.get(f"{JUDGE}/guideline?assignment={item['assignment']}").content.decode()
        seen["basil" if "Basilikum" in item["prompt"] else "numbers"] = page
        assert "The shorter of the two" in page
    assert ("relevant-head" in seen["basil"], told in seen["basil"]) == (False, True)
    assert ("relevant-head" in seen["numbers"], told in seen["numbers"]) == (True, False)
    # Without a pair there is nothing that could be near.
    alone = desk.get(f"{JUDGE}/guideline").content.decode()
    assert ("relevant-head" in alone, told in alone) == (False, False)
