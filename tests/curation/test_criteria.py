from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.errors import Refused
from curation.arrays import pair_facts
from curation.criteria import FIELDS, OPERATORS, Criterion, from_json, in_play, parse, parse_all
from curation.voices import Voices


@pytest.mark.parametrize(
    ("text", "criterion"),
    [
        ("agreement>=0.66", Criterion("agreement", ">=", 0.66)),
        (" judgements > 3 ", Criterion("judgements", ">", 3.0)),
        ("tag=code", Criterion("tag", "=", "code")),
        ("id$=-t1", Criterion("id", "$=", "-t1")),
        ("source!=", Criterion("source", "!=", "")),
        ("id^=a=b", Criterion("id", "^=", "a=b")),
        ("excluded=no", Criterion("excluded", "=", False)),
        ("gold!=yes", Criterion("gold", "=", False)),
        ("label=none", Criterion("label", "=", "none")),
        ("meta.turn=1", Criterion("meta.turn", "=", "1")),
        ("difficulty<0.30000000000000004", Criterion("difficulty", "<", 0.1 + 0.2)),
        ("margin>=-1e-300", Criterion("margin", ">=", -1e-300)),
    ],
)
def test_a_criterion_is_read(text, criterion):
    assert parse(text) == criterion
    assert parse(criterion.text) == criterion
    assert from_json([criterion.as_json()]) == [criterion]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agreement", "is not a criterion"),
        ("", "is not a criterion"),
        ("x>=1", "Unknown field 'x'. Known are agreement, share,"),
        ("user__password=1", "Unknown field 'user__password'"),
        ("meta.turn'--=1", "is not a criterion"),
        ("meta.=1", "Unknown field 'meta.'"),
        ("agreement~=1", "agreement cannot be compared with '~='. Known for it are = != >= <= > <."),
        ("source>=b", "source cannot be compared with '>='"),
        ("agreement>=many", "agreement is compared with a number, not 'many'"),
        ("agreement>=nan", "agreement is compared with a number, not 'nan'"),
        ("strength>=inf", "strength is compared with a number, not 'inf'"),
        ("excluded=maybe", "excluded is yes or no, not 'maybe'"),
        ("label=a", "label is one of first, second, tie, none, not 'a'"),
        ("marks=broken", "marks is one of empty, identical, toy, not 'broken'"),
        ("source=" + "x" * 301, "too long"),
        ("source=a\0b", "NUL"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_would_be_right(text, says):
    with pytest.raises(Refused, match=says.replace(".", r"\.").replace("(", r"\(")):
        parse(text)


def test_where_any_bin_begins_is_said_to_the_last_bit():
    """A release says its criteria as text and is verified by them: a pair on the edge must not change sides."""
    from curation.dimensions import dimensions

    for one in dimensions({}):
        if one.kind == "category":
            continue
        for place in range(1, one.bins):
            edge = Criterion("margin", ">=", one.exact_edge(place))
            assert parse(edge.text) == edge
    assert Criterion("agreement", ">=", 0.66).text == "agreement>=0.66"


@pytest.mark.parametrize(
    "stored", ["agreement>=1", [1], [{"field": "tag"}], [{"field": "tag", "operator": "=", "value": 1, "sql": "x"}]]
)
def test_stored_criteria_of_another_shape_are_refused(stored):
    with pytest.raises(Refused):
        from_json(stored)


def test_pairs_out_of_play_stay_out_unless_a_criterion_speaks_of_them():
    assert [one.text for one in in_play(parse_all(["tag=a"]))] == ["excluded=no", "tag=a"]
    assert [one.text for one in in_play(parse_all(["excluded=yes"]))] == ["excluded=yes"]


@pytest.fixture
def pairs(make_pair, say, alice, bob, adjudicator):
    """Three pairs: unanimous, divided, and unjudged."""
    agreed = make_pair(
        external_id="q1-t1", source="alpha", tags=["code"], label="first", meta={"turn": 1}, split="train"
    )
    divided = make_pair(
        external_id="q2-t2", source="beta", tags=["maths"], label="tie", meta={"turn": 2}, marks=["empty"]
    )
    unjudged = make_pair(external_id="q3-t1", source="beta", is_gold=True, excluded_at=timezone.now())
    agreed.prompt.tags, agreed.prompt.language = ["long"], "de"
    agreed.prompt.save()
    for who in (alice, bob, adjudicator):
        say(who, agreed, "first", 3)
    say(alice, divided, "first", 1)
    say(bob, divided, "second", None)
    say(adjudicator, divided, "tie")
    return {"agreed": agreed.pk, "divided": divided.pk, "unjudged": unjudged.pk}


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("agreement>=0.66", {"agreed"}),
        ("agreement<0.66", {"divided"}),
        ("share>=0.5", {"agreed"}),
        ("judgements>=3", {"agreed", "divided"}),
        ("judgements=0", {"unjudged"}),
        ("skips=0", {"agreed", "divided", "unjudged"}),
        ("strength>=2", {"agreed"}),
        ("strength<2", {"divided"}),
        ("tag=code", {"agreed"}),
        ("tag=long", {"agreed"}),
        ("tag!=code", {"divided", "unjudged"}),
        ("source=beta", {"divided", "unjudged"}),
        ("source~=lph", {"agreed"}),
        ("id^=q2", {"divided"}),
        ("id$=-t1", {"agreed", "unjudged"}),
        ("language=de", {"agreed"}),
        ("split=train", {"agreed"}),
        ("label=tie", {"divided"}),
        ("label=none", {"unjudged"}),
        ("marks=empty", {"divided"}),
        ("gold=yes", {"unjudged"}),
        ("excluded=yes", {"unjudged"}),
        ("meta.turn=1", {"agreed"}),
        ("meta.turn!=1", {"divided"}),
        ("source='; DROP TABLE pair; --", set()),
        ("tag=100%", set()),
    ],
)
def test_a_criterion_passes_the_pairs_that_it_means(project, pairs, text, passing):
    facts = pair_facts(project=project, voices=Voices(), where=[parse(text)])
    assert {name for name, pk in pairs.items() if facts.passes[0][facts.pair.tolist().index(pk)]} == passing


def test_a_pair_is_named_by_its_number(project, pairs):
    facts = pair_facts(project=project, voices=Voices(), where=[parse(f"pair!={pairs['agreed']}")])
    assert facts.pair[~facts.passes[0]].tolist() == [pairs["agreed"]]


def test_every_field_can_be_asked_with_every_operator_it_knows(project, pairs):
    value = {"number": "1", "text": "x", "flag": "yes"}
    asked = [
        parse(f"{name}{operator}{what.choices[0] if what.choices else value.get(what.kind, 'x')}")
        for name, what in FIELDS.items()
        for operator in OPERATORS[what.kind]
    ]
    facts = pair_facts(project=project, voices=Voices(), where=asked)
    assert facts.passes.shape == (len(asked), 3)
