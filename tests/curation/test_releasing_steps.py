"""The steps after the rule: quotas, near duplicates, cuts and harm, each counted and each derived again."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.http import QueryDict

from annotation.errors import Refused
from annotation.models import Event
from curation.criteria import parse_all
from curation.forms import DraftForm, address_of
from curation.models import Release
from curation.releasing import release
from curation.verifying import verify
from tests.curation.finished import finished
from tests.curation.folders import read

# What a test commits takes a second to clear away: only tests of the snapshot itself do.
committed = pytest.mark.django_db(transaction=True)
uncommitted = pytest.mark.usefixtures("same_connection")


@pytest.fixture
def many(make_pair, say, alice):
    """Twelve pairs that alice decides, six of them about code."""
    made = [make_pair(slots=0, external_id=str(n), tags=["code"] if n % 2 else []) for n in range(12)]
    for pair in made:
        say(alice, pair, "first")
    return made


def steps(done):
    return {step["name"]: step["removed"] for step in done.release.manifest["steps"] if step["removed"]}


@uncommitted
def test_a_quota_keeps_some_with_the_tag_and_all_without_the_same_ones_each_time(project, many, tmp_path):
    done = release(project=project, version="v1", quotas={"code": 2}, out=tmp_path / "v1")
    kept = {int(row["external_id"]) for row in read(tmp_path / "v1")}
    assert {n for n in kept if n % 2 == 0} == {0, 2, 4, 6, 8, 10}
    assert len(kept) == 8
    assert steps(done) == {"over the quota of code": 4}
    assert verify(tmp_path / "v1") == []
    drawn = set()
    for seed in range(1, 5):
        release(project=project, version=f"s{seed}", quotas={"code": 2}, seed=seed, out=tmp_path / f"s{seed}")
        drawn.add(frozenset(int(row["external_id"]) for row in read(tmp_path / f"s{seed}")))
    assert {len(kept) for kept in drawn} == {8}
    assert len(drawn) > 1


@uncommitted
def test_the_later_of_two_pairs_that_are_nearly_the_same_goes(project, make_pair, say, alice, tmp_path):
    long = "A plumb line hangs straight because the earth pulls its weight, and nothing else does. " * 4
    texts = [long, f"{long} Indeed.", "Something else altogether, with no word in common at all, hopefully."]
    for n, text in enumerate(texts):
        say(alice, make_pair(slots=0, prompt="Why?", first=text, second=text[::-1], external_id=str(n)), "first")
    done = release(project=project, version="v1", near_duplicates=0.8, out=tmp_path / "v1")
    assert [row["external_id"] for row in read(tmp_path / "v1")] == ["0", "2"]
    assert steps(done) == {"near duplicate": 1}
    assert verify(tmp_path / "v1") == []


@uncommitted
def test_each_cut_is_a_config_of_the_easiest_from_easy_to_hard(project, many, tmp_path):
    from curation.arrays import store_pair_values
    from curation.models import Measurement

    # Pair n has the difficulty (5 n) mod 11: 11 values, the last undefined. An older run said the opposite.
    values = np.array([float(5 * n % 11) for n in range(11)] + [np.nan])
    for kind, measured in (("old", -values), ("new", values)):
        run = finished(
            project,
            code_version=kind,
            finished_at=project.created_at,
            parameters={"measure": "difficulty", "model": f"the {kind} one"},
        )
        store_pair_values(
            run=run,
            metric="held_out_loss",
            pairs=[pair.pk for pair in many],
            values=measured,
            n=np.ones(12, dtype=np.int64),
            undefined="Too long.",
        )
    done = release(project=project, version="v1", cuts=[0.5, 0.25], out=tmp_path / "v1")
    assert Measurement.objects.count() == 24
    easy = sorted(range(11), key=lambda n: values[n])
    for cut, count in ((25, 2), (50, 5)):
        rows = pq.read_table(tmp_path / "v1" / f"trl_dpo-easiest-{cut}").to_pylist()
        assert [int(row["external_id"]) for row in rows] == easy[:count]
    assert len(read(tmp_path / "v1")) == done.release.rows == 12
    cut = done.release.manifest["cuts"]["trl_dpo-easiest-50"]
    assert (cut["run"], cut["hardest"]) == (run.pk, 4.0)
    assert [(step["removed"], step["left"]) for step in cut["removed"]] == [(1, 11), (6, 5)]
    card = (tmp_path / "v1" / "README.md").read_text()
    assert "| `trl_dpo-easiest-50` | 0.5 | 4 | 1 | 6 | 5 |" in card
    assert f"by `held_out_loss` for the new one (run {run.pk}), ordered from easy to hard" in card
    assert verify(tmp_path / "v1") == []
    # A pair that is easy for one model is hard for the other.
    release(project=project, version="v2", cuts=[0.5], difficulty_model="the old one", out=tmp_path / "v2")
    rows = pq.read_table(tmp_path / "v2" / "trl_dpo-easiest-50").to_pylist()
    assert [int(row["external_id"]) for row in rows] == easy[::-1][:5]
    assert verify(tmp_path / "v2") == []
    with pytest.raises(Refused, match="has measured held_out_loss for another of this"):
        release(project=project, version="v3", cuts=[0.5], difficulty_model="another", out=tmp_path / "v3")


@uncommitted
def test_cuts_for_several_models_are_configs_of_one_release(project, many, tmp_path):
    """Each goes by its own model's measurement, and is derived again by it when there are newer ones."""
    from annotation.models import Run
    from curation.arrays import store_pair_values

    def measure(model, values):
        run = finished(project, finished_at=project.created_at, parameters={"measure": "difficulty", "model": model})
        store_pair_values(
            run=run, metric="held_out_loss", pairs=[pair.pk for pair in many], values=values,
            n=np.ones(12, dtype=np.int64), undefined="none",
        )  # fmt: skip
        return run

    rising = np.arange(12.0)
    runs = {model: measure(model, values) for model, values in (("org/small:1", -rising), ("large", rising))}
    made = release(
        project=project, version="v1", out=tmp_path / "v1",
        cuts=["small=org/small:1:0.25", "large=large:0.5", "0.75"],
    ).release  # fmt: skip
    told = made.manifest["cuts"]
    assert {name: (cut["name"], cut["model"], cut["run"], cut["share"]) for name, cut in told.items()} == {
        "trl_dpo-easiest-25-small": ("small", "org/small:1", runs["org/small:1"].pk, 0.25),
        "trl_dpo-easiest-50-large": ("large", "large", runs["large"].pk, 0.5),
        "trl_dpo-easiest-75": ("", "large", runs["large"].pk, 0.75),
    }
    for config, expected in (
        ("25-small", [11, 10, 9]), ("50-large", [*range(6)]), ("75", [*range(9)]),
    ):  # fmt: skip
        rows = pq.read_table(tmp_path / "v1" / f"trl_dpo-easiest-{config}").to_pylist()
        assert [int(row["external_id"]) for row in rows] == expected
    card = (tmp_path / "v1" / "README.md").read_text()
    run = runs["org/small:1"].pk
    assert f"| `trl_dpo-easiest-25-small` | org/small:1 | {run} |  | 0.25 | -9 | 0 | 9 | 3 |" in card
    assert "config_name: trl_dpo-easiest-50-large" in card
    assert Run.objects.get(kind="release").parameters["cuts"] == ["small=org/small:1:0.25", "large=large:0.5", 0.75]
    assert verify(tmp_path / "v1") == []
    form = DraftForm(QueryDict(address_of(made.manifest)).dict(), project=project)
    assert form.is_valid(), form.errors
    assert form.asked()["cuts"] == ["small=org/small:1:0.25", "large=large:0.5", 0.75]
    measure("large", -rising)
    measure("org/small:1", rising)
    assert verify(tmp_path / "v1") == []
    with pytest.raises(Refused, match="has measured held_out_loss for nobody of this"):
        release(project=project, version="v2", cuts=["a=nobody:0.5"], out=tmp_path / "v2")


@uncommitted
def test_pairs_are_cut_by_what_measuring_difficulty_stores(project, make_pair, tmp_path):
    """From the losses of trainings to a config, with no name given: what is measured is what is cut by."""
    from curation.measuring import DifficultyRequest
    from tests.curation.trained import trained

    for n in range(12):
        make_pair(slots=0, external_id=str(n), label="first")
    asked = DifficultyRequest(model="tiny", preference="source", seeds="41,42", checkpoints=1)
    run = trained(project, asked, lambda n: np.linspace(0.9, 0.5, n))
    made = release(project=project, version="v1", rule="label", cuts=[0.25], out=tmp_path / "v1").release
    cut = made.manifest["cuts"]["trl_dpo-easiest-25"]
    assert (cut["metric"], cut["model"], cut["run"]) == ("held_out_loss", "tiny", run.pk)
    assert cut["trust"] == pytest.approx(1)
    assert "between the trainings of this order: 1.00. The seeds order the pairs much alike" in (
        tmp_path / "v1" / "README.md"
    ).read_text(encoding="utf-8")
    rows = pq.read_table(tmp_path / "v1" / "trl_dpo-easiest-25").to_pylist()
    assert [row["external_id"] for row in rows] == ["11", "10", "9"]
    # Those that were ranked wrong at the end have no step at which they were learned.
    by_step = release(
        project=project, version="v2", rule="label", cuts=[0.5], difficulty="learned_step", out=tmp_path / "v2"
    ).release.manifest["cuts"]["trl_dpo-easiest-50"]
    assert by_step["removed"][0] == {"name": "no learned_step", "removed": 6, "left": 6}


def test_pairs_are_cut_only_by_what_is_higher_where_they_are_harder(project):
    from curation.metrics import METRICS
    from curation.planning import DIFFICULTY, HARDER, plan

    assert DIFFICULTY in HARDER
    assert {(METRICS[name].subject, METRICS[name].direction) for name in HARDER} == {("pair", "higher is harder")}
    with pytest.raises(Refused, match=r"not cut by 'log_likelihood_margin'\. Known are held_out_loss, learned_step"):
        plan(project=project, version="v1", cuts=[0.5], difficulty="log_likelihood_margin")


@uncommitted
def test_a_cut_without_a_measurement_is_refused(project, many, tmp_path):
    with pytest.raises(Refused, match="No finished run has measured held_out_loss of"):
        release(project=project, version="v1", cuts=[0.5], out=tmp_path / "v1")
    assert [*tmp_path.iterdir()] == []


@uncommitted
def test_what_is_flagged_as_harmful_needs_a_reason_that_is_put_on_record(project, many, say, bob, tmp_path, lead):
    say(bob, many[3], "first", flags=["harmful"])
    with pytest.raises(
        Refused, match=r"1 of 12 pairs are flagged as harmful, 8\.33%, and without a reason at most 0\.5%"
    ):
        release(project=project, version="v1", out=tmp_path / "v1")
    assert not Release.objects.exists()
    without = release(project=project, version="v1", where=parse_all(["flag!=harmful"]), out=tmp_path / "v1")
    assert (without.release.rows, without.release.manifest["harmful"]["pairs"]) == (11, 0)
    done = release(project=project, version="v2", sign_off="Red teaming data.", out=tmp_path / "v2", actor=lead.user)
    flag = many[3].assignments.get(annotator=bob).judgements.get().pk
    expected = {"pairs": 1, "most": 0.005, "sign_off": "Red teaming data.", "through": flag}
    expected["by"] = lead.user.name or f"account {lead.user.pk}"
    assert done.release.manifest["harmful"] == expected
    assert (Event.objects.filter(act="release").latest("pk").after or {})["harmful"] == expected
    assert "Signed off: Red teaming data." in (tmp_path / "v2" / "README.md").read_text()
    assert lead.user.email not in (tmp_path / "v2" / "manifest.json").read_text()


@uncommitted
def test_the_limit_of_what_is_flagged_as_harmful_can_be_set(project, many, say, bob, tmp_path, lead):
    say(bob, many[3], "first", flags=["harmful"])
    with pytest.raises(Refused, match=r"8\.33%, and without a reason at most 8% may be"):
        release(project=project, version="v1", most_harmful=0.08, out=tmp_path / "v1")
    with pytest.raises(Refused, match="is 0 to 1, not 8"):
        release(project=project, version="v1", most_harmful=8, out=tmp_path / "v1")
    done = release(project=project, version="v1", most_harmful=0.09, out=tmp_path / "v1", actor=lead.user)
    told = done.release.manifest["harmful"]
    assert (told["most"], told["sign_off"], told["by"]) == (0.09, "", lead.user.name or f"account {lead.user.pk}")
    assert "without a reason 9 % may be." in (tmp_path / "v1" / "README.md").read_text()
    assert verify(tmp_path / "v1") == []
    # Made again by somebody else it is the same release, and says who answered for it at first.
    again = release(project=project, version="v1", most_harmful=0.09, out=tmp_path / "again", command="release")
    assert (again.is_new, again.release.digest) == (False, done.release.digest)
    # A usual limit that nobody had to be asked about names nobody.
    usual = release(project=project, version="v2", where=parse_all(["flag!=harmful"]), out=tmp_path / "v2")
    assert usual.release.manifest["harmful"]["by"] == ""
    by_command = release(project=project, version="v3", sign_off="Known.", out=tmp_path / "v3", command="release")
    assert by_command.release.manifest["harmful"]["by"] == "manage.py release"
