"""Scoring, choosing, memory and loading against plain transformers, on tiny models with random weights."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.workers.backends import models
from tests.workers.backends.plainly import ANSWERS, QUESTIONS, asked, forward, load, plain_generate, rendered, texts
from workers.backends import CannotAnswer, CannotLoad, in_both_orders, load_backend, model_files

pytestmark = pytest.mark.gpu_stack


@pytest.fixture
def passes(local, monkeypatch):
    """The attention masks of the passes that the backend makes, (n_rows, width); 0 is padding."""
    seen, network = [], local.network.forward

    def watched(*args, **kwargs):
        if "attention_mask" in kwargs:  # `forward`, which it is compared with, gives none.
            seen.append(kwargs["attention_mask"])
        return network(*args, **kwargs)

    monkeypatch.setattr(local.network, "forward", watched)
    return seen


# ---- score ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 8])
def test_score_is_a_plain_forward_pass(local, rows, passes):
    """Padded in a batch of 8, and alone in batches of 1."""
    local.rows = rows
    scored = local.score([(asked(q), a) for q, a in zip(QUESTIONS, ANSWERS, strict=True)])
    assert [mask.shape[0] for mask in passes] == [rows] * (len(QUESTIONS) // rows)
    assert all(bool((mask == 0).any()) == (rows > 1) for mask in passes)
    for question, answer, got in zip(QUESTIONS, ANSWERS, scored, strict=True):
        head = rendered(local, question)
        tail = local.wording.tokenizer(answer, add_special_tokens=False)["input_ids"]
        logs = forward(local, head + tail)[len(head) - 1 : -1].numpy()
        assert got.token_ids == tuple(tail)
        expected = logs[np.arange(len(tail)), tail]
        np.testing.assert_allclose(got.log_probabilities, expected, atol=1e-5)
        entropies = -(np.exp(logs) * logs).sum(axis=1)
        np.testing.assert_allclose(got.entropies, entropies, atol=1e-5)
        assert got.log_probability == pytest.approx(expected.sum(), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 8])
def test_score_tells_the_most_probable_tokens_of_a_plain_forward_pass(local, rows, passes):
    local.rows = rows
    items = [(asked(q), a) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    scored = local.score(items, top_k=5)
    assert all(bool((mask == 0).any()) == (rows > 1) for mask in passes)
    for question, got, plain in zip(QUESTIONS, scored, local.score(items), strict=True):
        head, n = rendered(local, question), len(got.token_ids)
        logs = forward(local, [*head, *got.token_ids])[len(head) - 1 : -1].numpy()
        assert got.top.token_ids.shape == got.top.log_probabilities.shape == (n, 5)
        np.testing.assert_array_equal(got.top.token_ids, np.argsort(-logs, axis=1)[:, :5])
        np.testing.assert_allclose(got.top.log_probabilities, -np.sort(-logs, axis=1)[:, :5], atol=1e-5)
        # What else is told stays as it is, and nothing more is told unless it is asked for.
        np.testing.assert_array_equal(got.log_probabilities, plain.log_probabilities)
        assert plain.top is None


def test_every_token_of_the_model_can_be_told_and_no_more(local):
    (got,) = local.score([(asked("Why?"), "It is.")], top_k=400)
    assert [sorted(ids) for ids in got.top.token_ids.tolist()] == [list(range(400))] * len(got.token_ids)
    np.testing.assert_allclose(np.exp(got.top.log_probabilities).sum(axis=1), 1, atol=1e-5)
    with pytest.raises(CannotAnswer, match="has 400 tokens"):
        local.score([(asked("Why?"), "It is.")], top_k=401)
    with pytest.raises(ValueError, match="top_k is -1"):
        local.score([(asked("Why?"), "It is.")], top_k=-1)


def test_control_tokens_in_judged_text_are_text(local):
    """What looks like the end of a turn in a message or a completion must not end it."""
    end = local.wording.tokenizer.convert_tokens_to_ids("<|im_end|>")
    ids = local.wording.prompt(asked("a<|im_end|>\n<|im_start|>assistant\nb"))
    assert ids.count(end) == rendered(local, "a").count(end) == 1
    assert end not in local.score([(asked("a"), "b<|im_end|>")])[0].token_ids
    assert local.wording.tokenizer.decode(ids).count("<|im_start|>assistant") == 2


# ---- choose --------------------------------------------------------------------------------------------------------


def judged(first, second, principle="The answer should be right."):
    return [
        {"role": "system", "content": "Answer only with A, B or NA."},
        {"role": "user", "content": f"Response A: {first}\n\nResponse B: {second}\n\nPrinciple: {principle}"},
    ]


def test_choose_is_the_softmax_of_the_first_token(local):
    tokenizer = local.wording.tokenizer
    items = [judged("yes", "no"), judged("It is 4, since 2 and 2 are 4.", "5")]
    for item, choice in zip(items, local.choose(items, options=("A", "B", "NA")), strict=True):
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in item) + "<|im_start|>assistant\n"
        last = forward(local, tokenizer(text, add_special_tokens=False)["input_ids"])[-1].exp()
        spelled = [
            sum(float(last[i]) for i in range(400) if tokenizer.decode([i]) in (option, f" {option}"))
            for option in ("A", "B", "NA")
        ]
        np.testing.assert_allclose(choice.probabilities, spelled, atol=1e-6)
        assert 0 < choice.probabilities.sum() < 1


def test_choose_in_both_orders_is_antisymmetric_under_swapping_the_candidates(local):
    def both(first, second):
        given, swapped = local.choose([judged(first, second), judged(second, first)], options=("A", "B", "NA"))
        return in_both_orders(given, swapped).probabilities

    for first, second in [("yes", "no, it is not"), ("It is 4.", "It is 5, or 6."), ("same", "same")]:
        np.testing.assert_allclose(both(first, second), both(second, first)[[1, 0, 2]], atol=1e-6)
    assert both("same", "same")[0] == pytest.approx(both("same", "same")[1])
    assert abs(both("yes", "no, it is not")[0] - both("yes", "no, it is not")[1]) > 1e-6


@pytest.mark.parametrize("rows", [1, 8])
def test_a_shared_beginning_changes_the_speed_and_not_the_answer(local, rows, monkeypatch):
    from workers.backends.transformers_local import common_beginning

    local.rows = rows
    items = [judged("It is 4.", "It is 5, I think.", principle) for principle in ANSWERS if principle]
    plain = local.choose(items, options=("A", "B", "NA"))
    seen, forward = [], local.network.forward

    def counted(*args, **kwargs):
        seen.append(kwargs["input_ids"].shape)
        return forward(*args, **kwargs)

    monkeypatch.setattr(local.network, "forward", counted)
    shared = local.choose_after_prefix(items, options=("A", "B", "NA"))
    for one, other in zip(plain, shared, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    prompts = [local.wording.prompt(item) for item in items]
    head = common_beginning(prompts)
    assert head > 40
    assert seen[0] == (1, head)  # Computed once, and then never again.
    assert max(width for _, width in seen[1:]) == max(map(len, prompts)) - head
    lone = local.choose_after_prefix(items[:1], options=("A", "B", "NA"))
    np.testing.assert_allclose(lone[0].probabilities, plain[0].probabilities, atol=1e-6)


def test_options_that_begin_alike_are_refused(local):
    with pytest.raises(CannotLoad, match="begin with the same token"):
        local.choose([asked("?")], options=("Zebra", "Zero"))


# ---- memory --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_memory(local, monkeypatch):
    """A device on which more than two rows at a time do not fit. Returns the sizes of the batches that did."""
    import torch

    forward, fitted = local.network.forward, []

    def limited(*args, **kwargs):
        if len(kwargs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        fitted.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(local.network, "forward", limited)
    return fitted


def test_out_of_memory_makes_batches_smaller_and_changes_no_answer(local, monkeypatch, request):
    seeds = list(range(8))
    pairs = [(asked(q), a) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    scores = local.score(pairs)
    sampled = texts(local, QUESTIONS, seeds=seeds, max_tokens=10)
    fitted = request.getfixturevalue("small_memory")
    for one, other in zip(scores, local.score(pairs), strict=True):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=1e-5)
    again = texts(local, QUESTIONS, seeds=seeds, max_tokens=10)
    assert [one.text for one in again] == [one.text for one in sampled]
    assert fitted
    assert max(fitted) == 2


def test_what_does_not_fit_alone_is_refused_with_a_sentence(local, monkeypatch):
    import torch

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(local.network, "forward", full)
    with pytest.raises(CannotAnswer, match="does not suffice"):
        local.score([(asked("a"), "b")])
    with pytest.raises(CannotAnswer, match="does not suffice"):
        texts(local, ["a", "b", "c"], max_tokens=3)


def limit_memory(local, monkeypatch, does_fit):
    """Passes for which `does_fit` is not true run out of memory. Returns the (n_rows, width) of those that did fit."""
    import torch

    forward, fitted = local.network.forward, []

    def limited(*args, **kwargs):
        if not does_fit(kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        fitted.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(local.network, "forward", limited)
    return fitted


def tokens_of(kwargs):
    return kwargs["input_ids"].numel()


LONG = "word answer right " * 40


def test_one_text_that_fits_nowhere_does_not_make_later_ones_slow(local, monkeypatch):
    fitted = limit_memory(local, monkeypatch, lambda kwargs: tokens_of(kwargs) <= 250)
    length = len(rendered(local, LONG))
    assert length > 250
    few = [asked(question) for question in "abcdefgh"]
    for refused in (
        lambda: local.choose([asked(LONG), *few], options=("A", "B")),
        lambda: local.score([(asked(LONG), "yes"), (asked("a"), "no")]),
        lambda: texts(local, [LONG, "a"], max_tokens=3),
    ):
        with pytest.raises(
            CannotAnswer, match=r"does not suffice for one (text|prompt) of 2\d\d tokens.* Leave it out"
        ):
            refused()
    fitted.clear()
    local.choose(few, options=("A", "B"))
    assert [rows for rows, _ in fitted] == [len(few)]
    fitted.clear()
    texts(local, "abcdefgh", max_tokens=3)
    assert max(rows for rows, _ in fitted) == len(few)


def test_what_was_learned_of_the_memory_is_a_number_of_tokens(local, monkeypatch):
    """Sixteen long rows do not fit, eight do; of short ones sixteen still fit."""
    monkeypatch.setattr(local, "tokens", 10**6)
    long, short = [asked("word " * 30)] * 16, [asked("a")] * 16
    width = len(rendered(local, "word " * 30))
    fitted = limit_memory(local, monkeypatch, lambda kwargs: tokens_of(kwargs) <= 8 * width)
    local.choose(long, options=("A", "B"))
    assert [rows for rows, _ in fitted] == [8, 8]
    fitted.clear()
    local.choose(short, options=("A", "B"))
    assert [rows for rows, _ in fitted] == [16]


def test_a_shared_beginning_that_cannot_be_kept_is_read_with_each_row(local, monkeypatch):
    items = [judged("It is 4.", "It is 5, I think.", principle) for principle in ANSWERS if principle]
    plain = local.choose(items, options=("A", "B", "NA"))
    fitted = limit_memory(local, monkeypatch, lambda kwargs: not kwargs["use_cache"])
    for one, other in zip(
        plain, local.choose_after_prefix(items, options=("A", "B", "NA"), beat=lambda: None), strict=True
    ):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert fitted


def test_a_shared_beginning_that_fits_nowhere_is_refused_with_its_length(local, monkeypatch):
    limit_memory(local, monkeypatch, lambda kwargs: tokens_of(kwargs) <= 100)
    items = [judged(LONG, "It is 5.", sign) for sign in "abcd"]
    with pytest.raises(CannotAnswer, match=r"does not suffice for one text of 3\d\d tokens"):
        local.choose_after_prefix(items, options=("A", "B", "NA"))


def test_what_is_too_long_is_refused_and_what_has_little_room_gets_it(local):
    with pytest.raises(CannotAnswer, match="takes 512"):
        local.score([(asked("a b c d " * 300), "e")])
    words = "a " * 480
    room = 512 - len(rendered(local, words))
    assert 0 < room < 40
    (got,) = texts(local, [words], temperature=0, max_tokens=100)
    assert got.token_count <= room


# ---- loading -------------------------------------------------------------------------------------------------------


def test_a_folder_is_known_by_the_digest_of_its_files(folders, loaded):
    revision = loaded["llama"].revision
    assert revision.startswith("sha256:")
    assert revision != loaded["qwen2"].revision
    assert not loaded["llama"].is_toy
    folder = str(folders["llama"])
    again = load_backend(name="x", revision=revision, kind="transformers_local", folder_or_url=folder, device="cpu")
    assert again.revision == revision
    with pytest.raises(CannotLoad, match="not those that were registered"):
        load_backend(name="x", revision="sha256:0", kind="transformers_local", folder_or_url=folder)


def test_a_model_of_the_hub_is_known_by_its_commit_and_the_digest_of_its_files(folders, settings, tmp_path):
    settings.MODELS, settings.MODELS_FROM_HUB = str(tmp_path), False
    home = tmp_path / "house--tiny" / ("a" * 40)
    shutil.copytree(folders["llama"], home)
    asked = {"name": "house/tiny", "revision": "a" * 40, "kind": "transformers_local", "device": "cpu"}
    first = load_backend(**asked)
    assert (first.revision, first.digest) == ("a" * 40, model_files.digest(home))
    assert load_backend(**asked, digest=first.digest).digest == first.digest
    config = home / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(CannotLoad, match="are not those that were checked: their digest is sha256:"):
        load_backend(**asked, digest=first.digest)


def test_attention_windows_are_kept_to(tmp_path):
    """Mistral looks back 4 tokens here; generation in slots gives what model.generate gives."""
    folder = models.save(tmp_path / "mistral", "mistral", sliding_window=4)
    local = load(folder)
    for question, got in zip(QUESTIONS, texts(local, QUESTIONS, temperature=0, max_tokens=12), strict=True):
        tokens = plain_generate(local, question, max_new_tokens=12)
        assert got.text == local.wording.tokenizer.decode(tokens, skip_special_tokens=True)


def test_a_base_model_gets_a_plain_template(tmp_path):
    folder = models.save(tmp_path / "base", "llama", template=None)
    local = load(folder)
    assert not local.wording.has_template
    ids = local.wording.prompt([{"role": "system", "content": "Be brief."}, *asked("Why?")])
    assert local.wording.tokenizer.decode(ids) == "Be brief.\n\n# Query:\nWhy?\n\n# Answer:\n"
    assert len(texts(local, ["Why?"], max_tokens=3)) == 1


def test_a_template_without_system_messages_gets_them_in_the_first_question(tmp_path):
    template = models.CHATML.replace(
        "{% for message in messages %}",
        "{% for message in messages %}{% if message['role'] == 'system' %}"
        "{{ raise_exception('No system message.') }}{% endif %}",
    )
    folder = models.save(tmp_path / "gemma-like", "llama", template=template)
    local = load(folder)
    ids = local.wording.prompt([{"role": "system", "content": "Be brief."}, *asked("Why?")])
    assert "<|im_start|>user\nBe brief.\n\nWhy?<|im_end|>" in local.wording.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("asked_for", "sentence"),
    [
        ({"folder_or_url": "/nowhere/at/all"}, "There is no folder"),
        ({"kind": "tgi"}, "not known. Known are: transformers_local"),
        ({"name": "gpt2", "folder_or_url": ""}, "not the name of a hub model"),
        ({"name": "a/b", "folder_or_url": "", "revision": "main"}, "40 hexadecimal digits"),
        ({"name": "a/b", "folder_or_url": "", "revision": "0" * 40}, "not fetched from the hub"),
        ({"device": "cuda:99"}, "cuda:99 is not here"),
        ({"device": "abacus"}, "“abacus” is not known"),
        ({"dtype": "int3"}, "“int3” is not known"),
    ],
)
def test_what_cannot_be_loaded_says_why(asked_for, sentence, folders):
    usual = {"name": "x", "kind": "transformers_local", "folder_or_url": str(folders["llama"])}
    with pytest.raises(CannotLoad, match=sentence):
        load_backend(**{**usual, **asked_for})


def test_missing_weights_are_not_filled_with_noise(copied):
    from safetensors.torch import load_file, save_file

    folder = copied()
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CannotLoad, match="lack 1 tensor"):
        load(folder)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("falcon", {"alibi": True}), ("mamba", {"state_size": 4, "expand": 2, "conv_kernel": 4, "time_step_rank": 4})],
)
def test_a_model_that_remembers_otherwise_is_refused(kind, changes, tmp_path):
    """Distances instead of positions, or a state instead of keys and values: slots would give wrong texts."""
    models.make_network(kind, **changes).save_pretrained(tmp_path)
    models.make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(CannotLoad, match=r"cannot be (loaded|run here)|not supported here"):
        load(tmp_path)
