from __future__ import annotations

import uuid

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from annotation import reacting
from annotation.models import Assignment, Judgement, Offer, Rationale, Run
from curation.export.records import Broken
from curation.texts import read as ask
from curation.texts import rows_of, said_of, with_reason
from curation.voices import Voices
from tests.machines import explain, offered, seat_of, shown_to, turn_on
from tests.verdicts import judge


def read(pairs, **changes):
    n = len(pairs)
    nothing = np.full(n, np.nan)
    given = {
        "first_wins": np.ones(n, dtype=bool),
        "verdict": np.ones(n),
        "settled": np.zeros(n, dtype=bool),
        "counts": np.zeros((n, 4), dtype=np.int64),
        "agreement": nothing,
        "strength_mean": nothing,
        **changes,
    }
    crossed = ask(np.array([pair.pk for pair in pairs]), using=connection)
    return rows_of(crossed, **given, using=connection)


def test_pairs_come_in_the_order_asked_for_each_with_its_own_texts(make_pair):
    made = [make_pair(slots=0, external_id=f"q{n}", source="s") for n in range(5)]
    asked = [made[n] for n in (3, 0, 4)]
    rows = read(asked, first_wins=np.array([True, False, True]))
    assert rows.external_id.to_pylist() == ["q3", "q0", "q4"]
    assert rows.prompt.to_pylist() == [pair.prompt.messages for pair in asked]
    assert rows.chosen.to_pylist() == [asked[0].first.messages, asked[1].second.messages, asked[2].first.messages]
    assert rows.rejected.to_pylist() == [asked[0].second.messages, asked[1].first.messages, asked[2].second.messages]


def test_pairs_that_share_a_prompt_or_an_answer_both_have_it(make_pair):
    from annotation.models import Pair

    one, two = make_pair(slots=0, prompt="Same?"), make_pair(slots=0, prompt="Same?")
    third = Pair.objects.create(project=one.project, prompt=one.prompt, first=one.first, second=two.second, rank=99)
    rows = read([third, one, two])
    assert rows.prompt.to_pylist() == [one.prompt.messages] * 3
    assert rows.chosen.to_pylist() == [one.first.messages, one.first.messages, two.first.messages]
    assert rows.rejected.to_pylist() == [two.second.messages, one.second.messages, two.second.messages]


def test_tags_of_pair_and_prompt_are_joined_and_none_is_there_twice(make_pair):
    made = [make_pair(slots=0, tags=tags) for tags in (["a", "b"], [], ["a"])]
    for pair, tags in zip(made, (["b", "c"], ["d"], []), strict=True):
        pair.prompt.tags = tags
        pair.prompt.save()
    assert read(made).tags.to_pylist() == [["a", "b", "c"], ["d"], ["a"]]
    assert read(made[1:]).tags.to_pylist() == [["d"], ["a"]]


def test_a_system_message_stands_in_front_and_all_that_text_can_hold_comes_through(make_pair):
    text = 'Zwei\nZeilen, "quotes", back\\slash, tab\t, \u2028, 日本語, 🦊, \x7f, {"a": [1]}'
    plain, odd = make_pair(slots=0), make_pair(slots=0, first=text, prompt=text)
    odd.prompt.system = "Be brief."
    odd.prompt.save()
    rows = read([plain, odd])
    assert rows.prompt.to_pylist()[0] == plain.prompt.messages
    assert rows.prompt.to_pylist()[1] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    assert rows.chosen.to_pylist()[1] == [{"role": "assistant", "content": text}]


def test_of_a_message_role_and_content_are_read_and_nothing_else(make_pair):
    pair = make_pair(slots=0)
    pair.first.messages = [{"role": "assistant", "content": "Four.", "logprobs": [1], "id": {"x": 1}}]
    pair.first.save()
    assert read([pair]).chosen.to_pylist() == [[{"role": "assistant", "content": "Four."}]]


@pytest.mark.parametrize("messages", ["What?", [1], [{"role": "user", "content": 5}], [{"content": "x"}], {}, [None]])
def test_what_is_no_message_names_the_pair(make_pair, messages):
    sound, broken = make_pair(slots=0), make_pair(slots=0)
    broken.prompt.messages = messages
    broken.prompt.save()
    with pytest.raises(Broken) as caught:
        read([sound, broken])
    assert caught.value.pair_id == broken.pk


def test_sound_pairs_are_not_looked_up_one_by_one(make_pair):
    made = [make_pair(slots=0) for _ in range(20)]
    asked = []

    def hear(run, sql, *rest):
        asked.append(sql)
        return run(sql, *rest)

    with connection.execute_wrapper(hear):
        read(made)
    assert asked == []


def test_a_machines_reason_is_that_of_the_verdict_it_explains_and_never_one_that_was_hinted(project, make_pair, robot):
    """What a machine was told the verdict for is not released as its own reason."""
    cases = [
        # source, explains, hinted -> what stands beside a verdict for the first candidate
        ("machine", "first", False, "Because."),
        ("machine", "", False, "Because."),
        ("machine", "second", False, ""),
        ("machine", "first", True, ""),
        ("imported", "", False, "Because."),
    ]
    run = Run.objects.create(project=project, kind="judging", code_version="t")
    made = []
    for source, explains, is_hinted, _ in cases:
        pair = make_pair(slots=0)
        seat = Assignment.objects.create(
            project=project, pair=pair, annotator=robot, priority=0, done_at=timezone.now()
        )
        Judgement.objects.create(
            assignment=seat, annotator=robot, key=uuid.uuid4(), verdict="prefer", strength=1, swapped=False
        )
        told = {"source": source, "explains": explains, "is_hinted": is_hinted, "template": "t-1", "run": run}
        Rationale.objects.create(pair=pair, annotator=robot, text="Because.", **told)
        made.append(pair.pk)
    found = said_of(np.array(made), voices=Voices(kind="judge"), shown=str, using=connection)
    assert [[one.reason for one in row] for row in found] == [[reason] for *_, reason in cases]


def test_a_reason_that_was_agreed_with_stands_in_for_an_own_one(project, alice, bob, make_pair):
    """Of several ticked the one that most readers agree with; an own sentence first; never for the other side."""
    turn_on(project, "several")
    pair = make_pair()
    liked, less = explain(pair, text="Liked by both."), explain(pair, text="Liked by one.")
    own = {}
    for who, fits in ((alice, {liked.pk, less.pk}), (bob, {liked.pk})):
        own[who] = judge(who, pair)
        offer = shown_to(who)
        places = [place for place, number in enumerate(offer.rationales) if number in fits]
        reacting.tick(annotator=seat_of(who), number=offer.pk, ticked=places)

    def told():
        [said] = said_of(np.array([pair.pk]), voices=Voices(), shown=str, using=connection)
        first, second = with_reason(project=project, voices=Voices(), using=connection)
        return [one.reason for one in said], [one.tags for one in said], (first.tolist(), second.tolist())

    assert told() == (["Liked by both."] * 2, [[], []], ([pair.pk], []))
    # Tags are kept beside it; a sentence of one's own comes first.
    mine = Rationale.objects.create(pair=pair, annotator=alice, judgement=own[alice], tags=["tone"])
    assert told()[:2] == (["Liked by both."] * 2, [["tone"], []])
    mine.text = "My own."
    mine.save()
    assert told()[0] == ["My own.", "Liked by both."]
    # Bob prefers the other side now: what he ticked was for the first.
    own[bob].is_current = False
    own[bob].save()
    type(own[bob]).objects.create(
        assignment=own[bob].assignment,
        annotator=bob,
        key="00000000-0000-4000-8000-000000000009",
        revision=2,
        verdict="prefer",
        strength=-1,
        swapped=False,
    )
    assert told()[0] == ["My own.", ""]
    assert Offer.objects.count() == 2


def test_an_edit_stays_the_reason_when_only_the_strength_changes(project, alice, make_pair):
    turn_on(project)
    pair = make_pair()
    offer = offered(alice, pair)
    before = offer.judgement
    reacting.react(annotator=seat_of(alice), number=offer.pk, choice="edited", text="In my words.")
    Judgement.objects.filter(pk=before.pk).update(is_current=False)
    Judgement.objects.create(
        assignment=before.assignment,
        annotator=alice,
        key="00000000-0000-4000-8000-000000000009",
        revision=2,
        verdict="prefer",
        strength=3,
        swapped=False,
    )
    [[said]] = said_of(np.array([pair.pk]), voices=Voices(), shown=str, using=connection)
    assert said.reason == "In my words."
