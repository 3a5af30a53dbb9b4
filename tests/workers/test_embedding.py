"""A run that embeds pairs: means of hidden states against plain passes, what it cannot read, and what it stores."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import LanguageModel
from curation.measuring import EmbeddingsRequest
from curation.models import Embedding
from tests.workers import holding, preferences
from tests.workers.holding import Opener
from tests.workers.stub import StubBackend
from workers import embedding

pytestmark = [pytest.mark.django_db, pytest.mark.gpu_stack]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from workers.backends import load_backend

    folder = preferences.save_model(tmp_path_factory.mktemp("tiny"), width=32)
    return load_backend(name="tiny", kind="transformers_local", folder_or_url=str(folder), device="cpu")


@pytest.fixture
def embed(project, tiny):
    def do(*, seed=5, run=None, **fields):
        asked = EmbeddingsRequest(**({"model": "tiny"} | fields))
        hold = holding.held(project, "measurement", asked.as_parameters(), seed=seed, run=run)
        result = embedding.execute(hold, open_model=lambda name: tiny)
        return hold.run, result

    return do


def vectors(run):
    return {
        one.pair_id: np.frombuffer(bytes(one.vector), dtype="<f4")
        for one in Embedding.objects.filter(run=run).order_by("pair_id")
    }


def plainly(tiny, pair):
    """The mean over both candidates of the mean state of one pass each, alone and unpadded."""
    import torch

    means = []
    for candidate in (pair.first, pair.second):
        question = [{"role": "user", "content": pair.prompt.messages[0]["content"]}]
        row = tiny.wording.prompt(question) + tiny.wording.plain(candidate.messages[0]["content"])
        with torch.inference_mode():
            states = tiny.network(torch.tensor([row]), output_hidden_states=True).hidden_states[-1][0]
        means.append(states.double().mean(dim=0).numpy())
    return np.mean(means, axis=0)


def test_a_pairs_vector_is_the_mean_of_the_last_states(embed, tiny, make_pair):
    pairs = [make_pair(slots=0, prompt="a b " * n, first="c " * n + "d", second="e" * 3) for n in (1, 2, 9)]
    run, result = embed()
    found = vectors(run)
    assert list(found) == [pair.pk for pair in pairs]
    for pair in pairs:
        np.testing.assert_allclose(found[pair.pk], plainly(tiny, pair), atol=1e-5)
    assert (result["pairs"], result["dimensions"], result["width"], result["revision"]) == (3, 32, 32, tiny.revision)


def test_a_wider_model_is_projected_by_the_seed(embed, make_pair):
    for n in range(40):
        make_pair(slots=0, prompt="abcdefgh"[n % 8] * (1 + n % 5), first="ij"[n % 2] * 4, second="k" * (1 + n % 3))
    whole, _ = embed()
    one, result = embed(dimensions=16)
    again, _ = embed(dimensions=16)
    other, _ = embed(dimensions=16, seed=6)
    assert (result["width"], result["dimensions"]) == (32, 16)
    tables = [np.stack(list(vectors(run).values())) for run in (whole, one, again, other)]
    np.testing.assert_array_equal(tables[1], tables[2])
    assert not np.allclose(tables[1], tables[3])
    # Lengths are kept on average (Johnson and Lindenstrauss).
    lengths = np.linalg.norm(tables[1], axis=1) / np.linalg.norm(tables[0], axis=1)
    assert 0.5 < lengths.mean() < 1.6


def test_run_again_it_replaces_what_it_stored(embed, make_pair):
    make_pair(slots=0)
    run, _ = embed()
    before = vectors(run)
    embed(run=run)
    after = vectors(run)
    assert Embedding.objects.count() == 1
    np.testing.assert_array_equal(list(before.values()), list(after.values()))


def test_what_is_too_long_is_read_from_its_end_and_counted(embed, tiny, make_pair):
    pair = make_pair(slots=0, prompt="a" * 200, first="b" * 30, second="c")
    run, result = embed()
    # The model takes 128 tokens: both candidates after this prompt have more.
    assert (result["cut"], result["not_read"]) == (2, 0)
    assert np.isfinite(vectors(run)[pair.pk]).all()


def test_only_pairs_that_meet_the_criteria_are_embedded(embed, make_pair, project):
    from curation.criteria import parse_all

    make_pair(slots=0, tags=["code"])
    make_pair(slots=0)
    run, result = embed(where=tuple(parse_all(["tag=code"])))
    assert (result["pairs"], Embedding.objects.filter(run=run).count()) == (1, 1)
    with pytest.raises(Refused, match="nothing to embed"):
        embed(where=tuple(parse_all(["tag=none"])))


def test_an_endpoint_shows_no_states(project, make_pair):
    make_pair(slots=0)
    hold = holding.held(project, "measurement", EmbeddingsRequest(model="stub").as_parameters())
    with pytest.raises(Refused, match="endpoint, which shows no hidden states"):
        embedding.execute(hold, open_model=Opener(StubBackend()))


@pytest.mark.django_db(transaction=True)
def test_the_command_embeds_here_and_a_release_takes_its_subset(project, tmp_path, capsys, settings):
    settings.MODEL_ROOTS = [tmp_path]
    preferences.make_pairs(project, 12)
    folder = preferences.save_model(tmp_path / "tiny", width=16)
    LanguageModel.objects.create(
        name="tiny",
        backend="transformers_local",
        location=str(folder),
        allowed_at=timezone.now(),
        is_sound=True,
        checked_at=timezone.now(),
        check_said="Loaded.",
    )
    call_command("measure", "embeddings", project=project.slug, set=["model=tiny"], here=True)
    said = capsys.readouterr().out
    assert "12 pairs embedded with tiny" in said
    assert "--subset N --embedding tiny" in said
    typed = ["--project", project.slug, "--rule", "label", "--subset", "5", "--embedding", "tiny"]
    call_command("release", "v1", *typed, "--out", tmp_path / "out")
    assert "7 removed: beyond the 5 that say most" in capsys.readouterr().out
    call_command("verify_release", tmp_path / "out")
