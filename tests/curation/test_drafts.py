"""The page of a new release: every state has an address, its counts are one, and the button does what it says."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from django.db import connection, transaction
from django.urls import reverse
from rest_framework.test import APIClient

from annotation import running
from annotation.models import Project, Run
from curation import drafting
from curation.arrays import store_pair_values
from curation.criteria import parse_all
from curation.models import Release, Selection
from curation.planning import plan
from curation.releasing import release
from tests.curation.finished import finished

pytestmark = pytest.mark.usefixtures("same_connection")

# A link of the waterfall: where it leads, and of which step.
SHOW = re.compile(r'<a href="([^"]*)"\s+aria-label="Show pairs removed: ([^"]*)"')


@pytest.fixture
def pairs(make_pairs, say_all, alice, bob, adjudicator):
    """Thirty pairs: five without judgements, five ties, ten with one dissent, ten unanimous."""
    made = make_pairs([{"slots": 0, "external_id": f"p{n}", "tags": ["code"] if n % 3 == 0 else []} for n in range(30)])
    said = []
    for n, pair in enumerate(made):
        verdicts = [] if n < 5 else ["tie"] * 3 if n < 10 else ["first", "first", "second" if n < 20 else "first"]
        for who, what in zip((alice, bob, adjudicator), verdicts, strict=False):
            said.append((who, pair, what, {"strength": 2}))
    say_all(said)
    return made


@pytest.fixture
def difficult(project, pairs):
    run = finished(project, finished_at=project.created_at)
    store_pair_values(
        run=run,
        metric="held_out_loss",
        pairs=[pair.pk for pair in pairs],
        values=np.arange(30.0),
        n=np.ones(30, dtype=np.int64),
        undefined="none",
    )
    return pairs


@pytest.fixture
def look(project, lead, sign_in):
    client = sign_in(lead)
    return lambda **query: client.get(reverse("release_new", args=[project.slug]), query)


@pytest.fixture
def press(project, lead, sign_in, look):
    """Press a button of the page at an address, after changing some fields: what a browser without scripts sends."""
    client = sign_in(lead)

    def send(do="release", *, changes=None, **query):
        text = look(**query).content.decode()
        hidden = dict(re.findall(r'<input type="hidden" name="(counted|promised)" value="([^"]*)"', text))
        return client.post(
            reverse("release_new", args=[project.slug]), {**query, **hidden, "do": do, **(changes or {})}
        )

    return send


def numbers(text):
    """The page's counts by where they stand: rail, headings, waterfall, button."""
    rail = re.findall(r'data-count="(\w+)">([\d,]*)<', text)
    left = re.findall(r'<th scope="row">(.*?)</th>\s*<td class="num">[^<]*</td>\s*<td class="num">([\d,]+)</td>', text)
    button = re.search(r'id="go" name="do" value="(\w+)">([^<]*)<', text)
    assert button
    return dict(rail), {unescape(name): count for name, count in left}, button.groups()


def test_the_rail_the_waterfall_and_the_button_say_the_same(pairs, look):
    rail, steps, button = numbers(look(where="pair>0", agreement="0.9").content.decode())
    assert rail == {"selected": "30", "decided": "10", "chosen": "10"}
    assert steps["pair>0"] == rail["selected"]
    assert steps["agreement>=0.9"] == "15"
    assert steps["no majority"] == rail["decided"]
    assert steps["In the release"] == rail["chosen"]
    assert button == ("release", "Release 10 pairs")


def test_the_last_line_of_the_waterfall_says_what_all_steps_removed(pairs, look):
    for query in ({"where": "pair>0", "agreement": "0.9"}, {}):
        text = look(**query).content.decode()
        waterfall = text[text.index('class="plain wf"') :]
        waterfall = waterfall[: waterfall.index("</table>")]
        removed = re.findall(r'<td class="num">(?:−([\d,]+)|(0))</td>', waterfall)
        *each, whole = [int((some or none).replace(",", "")) for some, none in removed]
        assert whole == sum(each) > 0
        assert f'In the release</th>\n      <td class="num">−{whole}</td>' in waterfall


def test_the_rail_says_how_many_cuts_there_are_and_never_nought_pairs(difficult, look):
    said = re.compile(r"<span>Difficulty cuts</span><span>([^<]*)</span>")
    for cuts, count in (("", "none"), ("25", "1 cut"), ("25, 50", "2 cuts")):
        assert said.findall(look(cuts=cuts).content.decode()) == [count]


def test_an_empty_project_has_nothing_to_release(project, look):
    text = look().content.decode()
    assert numbers(text)[2] == ("count", "Nothing to release: count again")
    assert "of 0 in the project" in text


def test_each_step_after_the_rule_is_in_the_counts(difficult, look):
    rail, steps, button = numbers(look(quotas="code=2", cuts="25, 50", test_share="50").content.decode())
    assert steps["over the quota of code"] == rail["chosen"] != rail["decided"] == "20"
    text = look(cuts="25, 50").content.decode()
    assert "trl_dpo-easiest-25" in text
    assert "5 of 20, 10 of 20" in text
    assert button[1] == f"Release {rail['chosen']} pairs"


def test_a_cut_is_for_the_model_that_is_chosen(project, difficult, pairs, look):
    for model, sign in (("large", 1), ("small", -1)):
        run = finished(project, finished_at=project.created_at, parameters={"measure": "difficulty", "model": model})
        store_pair_values(
            run=run,
            metric="held_out_loss",
            pairs=[pair.pk for pair in pairs],
            values=sign * np.arange(30.0),
            n=np.ones(30, dtype=np.int64),
            undefined="none",
        )
    page = look(cuts="50")
    offered = [value for value, _ in page.context["form"].fields["difficulty_model"].choices]
    assert offered == ["", "large", "small"]
    assert page.context["counted"].measured_for == "small", "Without a choice, the one that was measured last."
    assert "of the pairs that were measured for small" in page.content.decode()
    for model, at in (("large", "p20"), ("small", "p19")):
        counted = look(cuts="50", difficulty_model=model).context["counted"]
        assert (counted.measured_for, counted.measured_by) == (model, "Difficulty: held-out DPO loss")
        assert [row.name for row in counted.line.rows if row.is_first_past] == [at]
    assert look(cuts="50", difficulty_model="tiny").context["form"].errors["difficulty_model"]
    # Each cut for its own model, in one release.
    page = look(cuts="weak=small:25, strong=large:50 75%")
    assert page.context["form"].errors["cuts"]
    page = look(cuts="weak=small:25\nstrong=large:50\n20 10%")
    counted = page.context["counted"]
    assert [(cut.config, cut.model, cut.kept) for cut in counted.cuts] == [
        ("trl_dpo-easiest-10", "small", 2),
        ("trl_dpo-easiest-20", "small", 4),
        ("trl_dpo-easiest-25-weak", "small", 5),
        ("trl_dpo-easiest-50-strong", "large", 10),
    ]
    assert (counted.measured_for, counted.line.name) == ("large", "the cut strong at 50 %")
    assert len(counted.histogram.cuts) == 1, "Those of the other model are not drawn on this one's scale."
    assert "trl_dpo-easiest-25-weak" in page.content.decode()


def test_the_twenty_nearest_the_cut_are_parted_by_the_line(difficult, look):
    rows = look(cuts="50").context["counted"].line.rows
    assert [row.name for row in rows] == [f"p{n}" for n in range(10, 30)]
    assert [row.is_kept for row in rows] == [True] * 10 + [False] * 10
    assert [row.name for row in rows if row.is_first_past] == ["p20"]
    assert len(look(cuts="50").context["counted"].preview) == 20


def test_without_a_cut_the_line_is_that_of_the_last_minimum(pairs, look):
    line = look(agreement="0.5").context["counted"].line
    assert (line.name, line.at) == ("agreement>=0.5", 0.5)
    assert [row.name for row in line.rows] == [f"p{n}" for n in range(20, 30)] + [f"p{n}" for n in range(10, 20)]
    assert look().context["counted"].line is None


def test_the_rows_at_random_are_the_same_each_time_and_of_what_is_chosen(pairs, look):
    one, other = look(strength="0.5").context["counted"].preview, look(strength="0.5").context["counted"].preview
    assert one == other
    assert {row.name for row in one} == {f"p{n}" for n in range(10, 30)}
    assert {row.votes for row in one} == {"2 of 3", "3 of 3"}


def test_a_pair_that_goes_before_its_row_is_read_is_passed_over(pairs, look):
    """An import is undone while the page is made."""
    before = [row.pair for row in look().context["counted"].preview]
    asked = []

    def without_the_first(execute, sql, params, many, context):
        if 'FROM "pair" INNER JOIN "prompt"' in sql:
            asked.append(sql)
            params = [-1 if one == before[0] else one for one in params]
        return execute(sql, params, many, context)

    with connection.execute_wrapper(without_the_first):
        page = look()
    assert asked
    assert [row.pair for row in page.context["counted"].preview] == before[1:]


def test_a_row_has_what_is_rejected_beside_what_is_chosen(pairs, look):
    shown = look(strength="0.5")
    row = next(one for one in shown.context["counted"].preview if one.name == "p10")
    assert (row.answer, row.other) == (pairs[10].first.text, pairs[10].second.text)
    assert {"Chosen", "Rejected"} <= set(re.findall(r'class="o2">(\w+)<', shown.content.decode()))
    # A layout that chooses none has a first and a second.
    votes = look(layout="votes", rule="votes").content.decode()
    assert set(re.findall(r'class="o2">(\w+)<', votes)) == {"First", "Second"}


def test_each_step_shows_what_it_removes(pairs, look):
    """A link beside each count leads to at most twenty of the pairs behind it, and each of these to everything said."""
    text = look(where="pair>0", agreement="0.9").content.decode()
    links = [(unescape(address), unescape(name)) for address, name in SHOW.findall(text)]
    assert [name for _, name in links] == ["agreement>=0.9", "tie"]
    address, name = links[0]
    query = {key: values[0] for key, values in parse_qs(urlparse(address).query).items()}
    assert urlparse(address).fragment == "removed"
    assert (query["where"], query["agreement"]) == ("pair>0", "0.9")
    shown = look(**query)
    removed = shown.context["counted"].removed
    assert (removed.name, removed.pairs) == (name, 15)
    # Those without judgements and those with a dissent: their agreement is unknown, or lower.
    assert {row.name for row in removed.rows} == {f"p{n}" for n in [*range(5), *range(10, 20)]}
    text = shown.content.decode()
    assert "The 15 pairs that “agreement&gt;=0.9” removes" in text
    assert reverse("board_pair", args=["everyday", pairs[0].pk]) in text
    # Of more than twenty some are drawn, the same ones each time; nothing was chosen of them.
    many = look(agreement="1", judgements="100", show="1")
    removed = many.context["counted"].removed
    assert (removed.pairs, len(removed.rows)) == (30, 20)
    assert removed == look(agreement="1", judgements="100", show="1").context["counted"].removed
    assert "20 of the 30 pairs that “judgements&gt;=100” removes" in many.content.decode()
    table = many.content.decode().partition('id="removed"')[2].partition("</table>")[0]
    assert set(re.findall(r'class="o2">(\w+)<', table)) == {"First", "Second"}


@pytest.mark.parametrize("show", ["", "0", "99", "-1", "one", "²", "0" * 400])
def test_a_step_that_is_none_shows_nothing(pairs, look, show):
    answer = look(agreement="0.9", show=show)
    assert answer.status_code == 200
    assert answer.context["counted"].removed is None


def test_before_anything_is_cut_the_chart_shows_how_difficult_the_pairs_are(difficult, look):
    page = look()
    counted = page.context["counted"]
    assert (counted.histogram.kept, counted.histogram.removed, counted.histogram.cuts) == (20, 0, [])
    assert (counted.measured_by, counted.line) == ("Difficulty: held-out DPO loss", None)
    assert "Without a cut every chosen pair is in the one config." in page.content.decode()


def test_without_a_measured_difficulty_there_is_no_chart(pairs, look):
    page = look()
    assert page.context["counted"].histogram is None
    assert "Without a cut every chosen pair is in the one config." in page.content.decode()


def test_a_saved_selection_and_criteria_beside_it_count_together(project, lead, pairs, look, press):
    criteria = [one.as_json() for one in parse_all(["tag=code"])]
    saved = Selection.objects.create(project=project, name="Code", criteria=criteria, owner=lead.user)
    context = look(selection=str(saved.pk), where="pair>0").context
    assert context["counted"].selected == 10
    assert [one.text for one in context["selected"]] == ["tag=code", "pair>0"]
    assert look(selection="999999").status_code == 200
    assert "valid choice" in look(selection="999999").content.decode()


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"where": "colour=blue"}, "where", "Unknown field"),
        ({"where": "agreement~=x"}, "where", "cannot be compared"),
        ({"agreement": "2"}, "agreement", "Agreement at least is a number from 0 to 1."),
        ({"judgements": "many"}, "judgements", "is a whole number from 0 to 1000."),
        ({"cuts": "half"}, "cuts", "is not a share"),
        ({"cuts": "150"}, "cuts", "less than 100"),
        ({"cuts": "small=nobody:50"}, "cuts", "for nobody of this"),
        ({"cuts": "small=:50"}, "cuts", "is no cut for a model"),
        ({"cuts": "50"}, "cuts", "Measure it first"),
        ({"cuts": "50", "layout": "listwise"}, "cuts", "cannot be cut by difficulty"),
        ({"quotas": "code"}, "quotas", "is not a quota"),
        ({"quotas": "code=²"}, "quotas", "is not a quota"),
        ({"subset": "3", "scores": "1" + "0" * 1000 + "=0.4"}, "scores", "is no score"),
        ({"near_duplicates": "3"}, "near_duplicates", "is a number from 0 to 1."),
        ({"test_share": "80"}, "test_share", "is a number from 0 to 50."),
        ({"ties": "keep"}, "ties", "cannot keep ties"),
        ({"ties": "both", "layout": "hh"}, "ties", "as two rows"),
        ({"rule": "soft"}, "layout", "the rule soft chooses none"),
        ({"rule": "coin"}, "rule", "valid choice"),
        ({"least_probability": ".5"}, "least_probability", "gives no probability"),
        ({"licence": "a licence"}, "licence", "no licence identifier"),
        ({"version": "new"}, "version", "part of an address"),
        ({"version": "a b"}, "version", "cannot name a release"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(pairs, look, query, field, says):
    answer = look(limits="Ten <annotators>.", **query)
    text = unescape(answer.content.decode())
    (error,) = re.findall(rf'id="id_{field}-err">(.*?)</p>', text, re.DOTALL)
    assert says in error
    assert f'href="#id_{field}"' in text
    assert "Ten <annotators>." in text
    assert answer.context["counted"] is None
    assert all(str(answer.context["form"][name].value()) == value for name, value in query.items())


def test_counting_again_leads_to_an_address_that_says_the_same(project, pairs, press):
    answer = press("count", agreement="0.9", rule="strength", where="pair>0")
    assert answer.status_code == 302
    assert parse_qs(urlparse(answer.url).query) == {"agreement": ["0.9"], "rule": ["strength"], "where": ["pair>0"]}
    assert press("count").url == reverse("release_new", args=[project.slug])


# ---- the button ------------------------------------------------------------------------------------------------------


def test_the_button_makes_the_release_that_was_counted(
    project, lead, pairs, press, sign_in, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = press(agreement="0.9", version="v1", licence="cc-by-4.0", limits="Few people.", ties="drop")
    run = Run.objects.get(kind="release")
    assert answer.url == reverse("release_run", args=[project.slug, run.pk])
    assert (run.state, run.parameters["promised"], run.started_by) == ("done", 10, lead.user)
    made = Release.objects.get()
    assert (made.version, made.rows, made.manifest["licence"]) == ("v1", 10, "cc-by-4.0")
    client = sign_in(lead)
    assert client.get(answer.url).url == reverse("release", args=[project.slug, "v1"])
    assert client.get(answer.url, headers={"HX-Request": "true"})["HX-Redirect"].endswith("/releases/v1")


def test_a_release_names_the_saved_selection_that_it_used_and_its_version(
    project, lead, pairs, press, send, sign_in, django_capture_on_commit_callbacks
):
    saved = [
        Selection.objects.create(
            project=project, name="Code", version=version, criteria=[one.as_json() for one in parse_all([text])]
        )
        for version, text in ((1, "tag=code"), (2, "tag!=code"))
    ]
    with django_capture_on_commit_callbacks(execute=True):
        press(selection=str(saved[0].pk), where="pair>0", agreement="0.1", version="v1")
        answer = send({"version": "v2", "selection": saved[1].pk, "where": ["pair>0"]})
    assert answer.status_code == 202
    one, two = Release.objects.order_by("version")
    assert [one.selection, two.selection, *Selection.objects.order_by("pk")] == [*saved, *saved]
    assert one.manifest["criteria"] == ["tag=code", "pair>0", "agreement>=0.1"]
    assert two.manifest["criteria"] == ["tag!=code", "pair>0"]
    text = sign_in(lead).get(reverse("release", args=[project.slug, "v2"])).content.decode()
    assert "<dt>Selection</dt><dd>Code, version 2</dd>" in text
    # Without one it stores its criteria under its own name, and does not speak of it.
    with django_capture_on_commit_callbacks(execute=True):
        send({"version": "v3", "where": ["tag=code"]})
    assert str(Release.objects.get(version="v3").selection) == "v3, version 1"
    text = sign_in(lead).get(reverse("release", args=[project.slug, "v3"])).content.decode()
    assert "<dt>Selection</dt>" not in text
    elsewhere = Project.objects.create(slug="other", name="Other")
    theirs = Selection.objects.create(project=elsewhere, name="theirs")
    refused = send({"version": "v4", "selection": theirs.pk})
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        f"This project has no saved selection {theirs.pk}.",
    )


def test_settings_that_changed_after_the_count_release_nothing(pairs, press):
    answer = press(agreement="0.9", version="v1", changes={"agreement": "0.1"})
    assert "agreement=0.1" in answer.url
    assert not Run.objects.exists()


def test_a_count_that_changed_releases_nothing(pairs, press, look, say, alice):
    say(alice, pairs[0], "first")
    answer = press(version="v1", changes={"promised": "20"})
    assert answer.status_code == 302
    assert not Run.objects.exists()


def test_a_count_that_changes_before_the_worker_comes_releases_nothing(project, pairs, press, say, alice):
    from annotation.errors import Refused
    from curation import releasing

    press(version="v1")
    run = Run.objects.get()
    say(alice, pairs[0], "first")
    hold = running.claim(run_id=run.pk, worker="test")
    assert hold
    with pytest.raises(Refused, match=r"20 pairs were counted .* would hold 21"):
        releasing.execute(hold)
    assert not Release.objects.exists()


@pytest.mark.parametrize("version", ["", "v0"])
def test_a_release_needs_a_name_that_is_free(project, pairs, press, version, tmp_path):
    release(project=project, version="v0", out=tmp_path / "v0")
    answer = press(version=version)
    assert answer.status_code == 422
    assert "Choose another name" in answer.content.decode() or "Give the release a name" in answer.content.decode()
    assert Run.objects.filter(parameters__has_key="promised").count() == 0


def test_the_harm_gate_asks_for_a_reason_at_its_field(pairs, press, look, say, bob, project):
    say(bob, pairs[25], "first", flags=["harmful"])
    text = look().content.decode()
    assert "1 of 20 pairs are flagged as harmful" in text
    assert numbers(text)[2] == ("release", "Sign off and release 20 pairs")
    answer = press(version="v1")
    assert answer.status_code == 422
    assert "Say why these pairs belong in" in answer.content.decode()
    assert press(version="v1", sign_off="Red teaming.").url.endswith(f"/new/{Run.objects.get().pk}")
    assert Run.objects.get().parameters["sign_off"] == "Red teaming."


@pytest.mark.parametrize(("typed", "share", "is_shut"), [("", 0.005, True), ("0", 0.0, True), ("5", 0.05, False)])
def test_the_limit_of_the_harm_gate_is_a_setting_of_the_draft(pairs, press, look, say, bob, typed, share, is_shut):
    say(bob, pairs[25], "first", flags=["harmful"])
    assert look(most_harmful=typed).context["counted"].is_too_harmful == is_shut
    assert look(most_harmful=typed).context["form"].asked()["most_harmful"] == share
    if not is_shut:
        assert press(version="v1", most_harmful=typed).status_code == 302
        assert Run.objects.get().parameters["most_harmful"] == share
    text = look(most_harmful="101").content.decode()
    assert "Flagged as harmful at most, in % is a number from 0 to 100." in text


def test_near_duplicates_of_many_pairs_are_left_to_the_run(pairs, press, look, monkeypatch):
    assert look(near_duplicates="0.9").context["counted"].is_exact
    monkeypatch.setattr(drafting, "MOST_COMPARED", 5)
    text = look(near_duplicates="0.9").content.decode()
    assert numbers(text)[2] == ("release", "Release at most 20 pairs")
    assert "compared only while the release is made" in text
    press(near_duplicates="0.9", version="v1")
    assert "promised" not in Run.objects.get().parameters


@pytest.fixture
def hurried(monkeypatch):
    """Counting takes longer than a page may wait for it."""

    def endless(asked, *, using):
        try:
            # A savepoint: the test goes on in the transaction whose statement is torn off.
            with transaction.atomic(), using.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(60)")
        finally:
            with using.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")

    monkeypatch.setattr(drafting, "PATIENCE", 0.2)
    monkeypatch.setattr(drafting, "choose", endless)


def test_counting_that_takes_too_long_is_stopped_and_the_run_counts(project, pairs, hurried, look, press):
    answer = look(version="v1")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Counting was stopped after 0.2 seconds" in text
    assert 'id="go" name="do" value="release">Release without counting<' in text
    assert press(version="").status_code == 422
    assert not Run.objects.exists()
    answer = press(version="v1")
    run = Run.objects.get()
    assert answer.url == reverse("release_run", args=[project.slug, run.pk])
    assert "promised" not in run.parameters


def test_what_can_be_counted_is_not_released_uncounted(pairs, press):
    assert press(version="v1", changes={"promised": ""}).status_code == 302
    assert not Run.objects.exists()


def test_what_the_page_counts_is_what_the_release_holds(project, difficult, look, tmp_path):
    query = {"cuts": "50", "quotas": "code=2", "test_share": "30", "rule": "dawid_skene", "layout": "trl_kto"}
    response = look(**query)
    counted, form = response.context["counted"], response.context["form"]
    manifest = release(project=project, out=tmp_path / "v1", **{**form.asked(), "version": "v1"}).release.manifest
    assert (counted.chosen, counted.rows) == (manifest["chosen"], manifest["rows"])
    assert [(step.name, step.left) for step in counted.steps] == [
        (one["name"], one["left"]) for one in manifest["steps"]
    ]
    assert {cut.config: cut.kept for cut in counted.cuts} == {
        name: cut["removed"][1]["left"] for name, cut in manifest["cuts"].items()
    }
    assert sum(size for _, size in counted.splits) == counted.chosen


# ---- by API ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def send(project, lead):
    client = APIClient()
    client.force_authenticate(lead.user)
    return lambda body: client.post(reverse("api_releases", args=[project.slug]), body, format="json")


def test_the_api_takes_every_option_of_the_page(project, difficult, send):
    options = {
        "version": "v1",
        "where": ["pair>0", "agreement>=0.1"],
        "rule": "dawid_skene",
        "layout": "trl_reward",
        "annotators": "all",
        "ties": "both",
        "least_probability": 0.6,
        "test_share": 0.2,
        "seed": 4,
        "near_duplicates": 0.9,
        "quotas": {"code": 3},
        "cuts": [0.5],
        "difficulty": "held_out_loss",
        "difficulty_model": "tiny",
        "sign_off": "Known.",
        "promised": 12,
        "names": True,
        "licence": "mit",
        "limits": "Few.",
    }
    answer = send(options)
    assert answer.status_code == 202, answer.content
    asked = Run.objects.get(kind="release").parameters
    assert {key: asked[key] for key in options if key not in ("version", "where")} == {
        key: value for key, value in options.items() if key not in ("version", "where")
    }
    assert asked["release"] == "v1"
    plan(project=project, version="v1", **{key: asked[key] for key in ("rule", "layout", "ties", "least_probability")})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ties": "flip"}, "ties"),
        ({"ties": "keep"}, "cannot keep ties"),
        ({"version": "new"}, "address"),
        ({"difficulty": "log_likelihood_margin"}, "difficulty"),
    ],
)
def test_the_api_refuses_what_the_page_refuses(send, changes, says):
    answer = send({"version": "v1", **changes})
    assert answer.status_code == 400
    assert says in answer.content.decode()
