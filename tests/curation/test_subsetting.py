"""A release under a budget: which pairs stay, what is told of them, and that it can be derived again."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from annotation.errors import Refused
from annotation.models import Run
from curation import drafting
from curation.models import Embedding
from curation.planning import plan
from curation.releasing import release
from curation.spread import centred, greedy
from curation.subsetting import NoVectors, by_model, by_ngrams, embedded_models
from curation.verifying import verify
from tests.curation.finished import finished

pytestmark = pytest.mark.usefixtures("same_connection")

TOPICS = {
    "wall": "A mason holds the plumb line to the wall and waits until the weight hangs still before laying the stone",
    "soup": "Peel the carrots and the leek, let them simmer with salt and bay leaf, and taste the soup before serving",
    "code": "for each row in the table compute the checksum; if it differs from the manifest then raise an exception",
}


@pytest.fixture
def pairs(make_pair, say, alice):
    """Thirty pairs, nearly all about one thing: 26, 2 and 2 of three topics."""
    made = []
    for n in range(30):
        topic = {4: "soup", 17: "soup", 9: "code", 23: "code"}.get(n, "wall")
        text = f"{TOPICS[topic]}, version {n}."
        made.append(make_pair(slots=0, external_id=f"{topic}-{n}", prompt=f"{text}?", first=text, second=f"{text} No."))
        say(alice, made[-1], "first", 2)
    return made


@pytest.fixture
def embedded(project, pairs):
    """Vectors of a model: pair n points at n * 12 degrees; the last two pairs have none."""
    run = finished(
        project,
        code_version="c1",
        finished_at=project.created_at,
        parameters={"measure": "embeddings", "model": "tiny"},
        result={"revision": "r1", "dimensions": 2},
    )
    for n, pair in enumerate(pairs[:-2]):
        angle = np.deg2rad(12 * n)
        vector = np.array([np.cos(angle), np.sin(angle)], dtype="<f4").tobytes()
        Embedding.objects.create(run=run, pair=pair, dimensions=2, vector=vector)
    return run


def read(folder, layout="trl_dpo"):
    return [row for path in sorted((folder / layout).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_a_subset_holds_what_is_rare_and_says_what_it_holds(project, pairs, tmp_path):
    done = release(project=project, version="v1", subset=8, out=tmp_path / "out")
    topics = [row["external_id"].partition("-")[0] for row in read(tmp_path / "out")]
    assert len(topics) == 8
    # Four of thirty are of the rare topics: drawn by chance a subset of eight holds one of them.
    assert {topics.count("soup"), topics.count("code")} == {2}
    manifest = done.release.manifest
    assert manifest["steps"][-1] == {"name": "beyond the 8 that say most", "removed": 22, "left": 8}
    told = manifest["subset"]
    assert (told["budget"], told["embedding"], told["version"], told["of"]) == (8, "ngrams", "ngrams/1", 30)
    assert told["curve"][-1] == [8, told["share"]]
    assert 8 / 30 < told["share"] < 1
    card = (tmp_path / "out" / "README.md").read_text()
    assert "of 30 pairs at most 8 were kept, by greedy log-determinant gain" in card
    assert f"hold {told['share']:.1%} of the information" in card
    assert verify(tmp_path / "out") == []


def test_the_same_pairs_stay_each_time_and_a_budget_for_all_keeps_all(project, pairs, tmp_path):
    for version in ("v1", "v2"):
        release(project=project, version=version, subset=5, out=tmp_path / version)
    assert read(tmp_path / "v1") == read(tmp_path / "v2")
    done = release(project=project, version="all", subset=500, out=tmp_path / "all").release
    assert (done.rows, done.manifest["subset"]["share"]) == (30, 1.0)
    assert release(project=project, version="none", out=tmp_path / "none").release.manifest["subset"] is None


def test_vectors_of_a_model_decide_instead_and_are_named(project, pairs, embedded, tmp_path):
    done = release(project=project, version="v1", subset=6, embedding="tiny", out=tmp_path / "out").release
    steps = {step["name"]: step["removed"] for step in done.manifest["steps"]}
    assert (steps["not embedded with tiny"], steps["beyond the 6 that say most"]) == (2, 22)
    vectors = np.array([[np.cos(np.deg2rad(12 * n)), np.sin(np.deg2rad(12 * n))] for n in range(28)], dtype=np.float32)
    expected = sorted(greedy(centred(vectors), budget=6).order.tolist())
    assert [row["pair_id"] for row in read(tmp_path / "out")] == [pairs[n].pk for n in expected]
    told = done.manifest["subset"]
    named = ("tiny", "r1", embedded.pk, "c1", 2, 28)
    assert tuple(told[key] for key in ("model", "revision", "run", "code_version", "dimensions", "of")) == named
    assert "mean hidden states of tiny at revision `r1`" in (tmp_path / "out" / "README.md").read_text()
    assert verify(tmp_path / "out") == []


def test_a_later_run_does_not_change_what_a_release_is_derived_from(project, pairs, embedded, tmp_path):
    release(project=project, version="v1", subset=6, embedding="tiny", out=tmp_path / "out")
    later = finished(
        project,
        code_version="c2",
        finished_at=project.created_at,
        parameters={"measure": "embeddings", "model": "tiny"},
        result={"revision": "r2", "dimensions": 2},
    )
    for n, pair in enumerate(pairs):
        vector = np.array([n % 2, n % 3], dtype="<f4").tobytes()
        Embedding.objects.create(run=later, pair=pair, dimensions=2, vector=vector)
    assert verify(tmp_path / "out") == []
    embedded.delete()
    assert verify(tmp_path / "out") == [
        f"The embeddings of run {read_manifest(tmp_path / 'out')['subset']['run']} are not here any more, so that its "
        "subset cannot be taken again."
    ]


def read_manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_a_manifest_that_says_more_of_its_subset_than_is_true_is_found(project, pairs, tmp_path):
    from curation.export import files

    release(project=project, version="v1", subset=5, out=tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    manifest["subset"]["share"] = 0.99
    files.write_text(tmp_path / "out", files.MANIFEST, files.canonical(manifest))
    assert "What the manifest says of its subset is not what taking it again gives." in verify(tmp_path / "out")


def test_a_model_that_embedded_nothing_is_refused_with_what_to_run(project, pairs, tmp_path):
    with pytest.raises(NoVectors, match="measure embeddings --project everyday --set model=NAME"):
        release(project=project, version="v1", subset=3, embedding="tiny", out=tmp_path / "out")
    with pytest.raises(Refused, match="at least 1 pair, not -1"):
        plan(project=project, version="v1", subset=-1)


def test_only_finished_runs_are_offered(project, pairs, embedded):
    assert embedded_models(project) == ["tiny"]
    Run.objects.filter(pk=embedded.pk).update(state="cancelled")
    assert embedded_models(project) == []
    with pytest.raises(NoVectors):
        by_model(project=project, model="tiny", run=None, pairs=np.array([1]), using=connection)


def test_rarity_is_learned_from_a_sample_of_many(monkeypatch):
    from curation import subsetting

    asked = []

    def read(pairs):
        asked.append(pairs.tolist())
        yield [f"text number {pair} about {'wood' if pair % 2 else 'stone'}" for pair in pairs]

    pairs = np.arange(10, 110)
    whole = by_ngrams(pairs, seed=0, read=read)
    assert asked == [pairs.tolist(), pairs.tolist()]
    monkeypatch.setattr(subsetting, "SAMPLE", 20)
    asked.clear()
    some = by_ngrams(pairs, seed=0, read=read)
    assert len(asked[0]) == 20
    assert (asked[0][0], asked[0][-1]) == (10, 109)
    near = np.einsum("nd,nd->n", whole.values, some.values)
    near /= np.linalg.norm(some.values, axis=1) * np.linalg.norm(whole.values, axis=1)
    assert near.min() > 0.85


def test_the_database_keeps_vectors_whole_and_once(project, pairs, embedded):
    for wrong, name in (
        ({"pair": pairs[0], "dimensions": 2, "vector": b"\0" * 8}, "one_embedding_per_run_and_pair"),
        ({"pair": pairs[29], "dimensions": 3, "vector": b"\0" * 8}, "vector_has_its_dimensions"),
        ({"pair": pairs[29], "dimensions": 0, "vector": b""}, "vector_has_its_dimensions"),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Embedding.objects.create(run=embedded, **wrong)


def test_the_command_takes_a_subset_and_says_what_it_holds(project, pairs, tmp_path, capsys):
    call_command("release", "v1", "--project", "everyday", "--out", tmp_path / "out", "--subset", "4")
    said = capsys.readouterr().out
    assert "26 removed: beyond the 4 that say most" in said
    assert "of what the 30 before say, by ngrams." in said


# ---- the page ------------------------------------------------------------------------------------------------------


def test_the_draft_counts_the_subset_and_advises(project, pairs):
    asked = plan(project=project, version="v1", subset=6)
    counted = drafting.count(asked, selection=[], least=[], scores={5: 0.5, 10: 0.6, 20: 0.65, 30: 0.67})
    assert (counted.decided, counted.chosen, counted.rows, counted.is_exact) == (30, 6, 6, True)
    assert counted.advice is not None
    assert counted.advice.points[-1].pairs == 30
    assert "6 by gain hold about" in " ".join(counted.advice.lines)
    assert counted.advice.scores is not None
    assert counted.advice.held is not None
    assert counted.advice.held.at == "20.00"
    assert drafting.count(plan(project=project, version="v1"), selection=[], least=[]).advice is None


def test_of_many_pairs_the_draft_says_at_most(project, pairs, monkeypatch):
    monkeypatch.setattr(drafting, "MOST_COMPARED", 10)
    counted = drafting.count(plan(project=project, version="v1", subset=6), selection=[], least=[])
    assert (counted.chosen, counted.is_exact, counted.advice) == (6, False, None)


def test_the_page_shows_the_curve_and_releases_the_subset(project, pairs, lead, sign_in):
    client = sign_in(lead)
    page = client.get("/p/everyday/releases/new", {"subset": "6", "scores": "5=.5\n10=.6\n20=.65\n30=.67"})
    text = page.content.decode()
    assert "Release 6 pairs" in text
    assert text.count("<polyline") == 3
    assert "would reach" in text
    assert "beyond the 6 that say most" in text
    wrong = client.get("/p/everyday/releases/new", {"subset": "6", "scores": "many"}).content.decode()
    assert "“many” is no score" in wrong
    other = client.get("/p/everyday/releases/new", {"subset": "6", "embedding": "tiny"})
    assert "embedding" in other.context["form"].errors
