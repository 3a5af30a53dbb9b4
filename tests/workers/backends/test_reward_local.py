"""A reward model in the worker: the same rewards alone and in company as plain transformers, and what is refused."""

from __future__ import annotations

import pytest

from tests.workers.backends.models import CHATML, make_tokenizer, save
from workers.backends import CannotAnswer, CannotLoad, load_rewarder

torch = pytest.importorskip("torch")

ASK = [{"role": "user", "content": "What is shown?"}]
ANSWERS = ["What is truly aligned.", "A", "The plumb line shows it, and a short answer helps when it is right."]


def talk(answer, *before):
    return [*before, *ASK, {"role": "assistant", "content": answer}]


def save_rewarder(folder, kind="llama", *, template=CHATML, labels=1, **changes):
    """A classifier of two layers with random weights. As is usual, what fills up is what ends a turn."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    settings = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "initializer_range": 0.3,
        "num_labels": labels,
        **changes,
    }
    torch.manual_seed(1)
    network = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **settings)).eval()
    network.save_pretrained(folder)
    tokenizer = make_tokenizer(template=template)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return save_rewarder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def rewarder(decoder):
    return load_rewarder(name="decoder", folder_or_url=str(decoder), device="cpu")


def plain(folder, ids, **more):
    """What transformers says of these tokens alone."""
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    network.config.pad_token_id = None
    with torch.inference_mode():
        return float(network(torch.tensor([ids]), **more).logits[0, 0])


def test_every_answer_has_the_reward_that_transformers_gives_it_alone(decoder, rewarder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(decoder)
    found = rewarder.rewards([talk(answer) for answer in ANSWERS])
    for answer, reward in zip(ANSWERS, found, strict=True):
        ids = tokenizer.apply_chat_template(talk(answer), tokenize=True, return_dict=False)
        # The turn ends with the token that the tokenizer fills up with: it is read all the same.
        assert ids[-2] == tokenizer.pad_token_id
        assert reward == pytest.approx(plain(decoder, ids), abs=1e-4)
    assert len({round(one, 3) for one in found}) == len(ANSWERS)
    assert rewarder.rewards([talk(ANSWERS[0])]) == pytest.approx(found[:1], abs=1e-4)


def test_what_stands_before_the_answer_counts(rewarder):
    alone, told = rewarder.rewards([talk("A"), talk("A", {"role": "system", "content": "Be short."})])
    assert alone != pytest.approx(told, abs=1e-3)


def test_a_token_that_ends_the_reading_is_never_taken_for_filling(tmp_path):
    """A template whose last token is the one that fills up: with it left out, both answers would read alike."""
    ends = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if messages|length > 1 %}<|im_end|>{% endif %}"
    folder = save_rewarder(tmp_path / "ends", template=ends)
    rewarder = load_rewarder(name="ends", folder_or_url=str(folder), device="cpu")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    long, short = talk(ANSWERS[2]), talk("A")
    ids = [tokenizer.apply_chat_template(one, tokenize=True, return_dict=False) for one in (long, short)]
    assert all(one[-1] == tokenizer.pad_token_id for one in ids)
    assert rewarder.rewards([long, short]) == pytest.approx([plain(folder, one) for one in ids], abs=1e-4)


def test_without_a_template_an_encoder_reads_two_texts(tmp_path):
    folder = save_rewarder(tmp_path / "encoder", "bert", template=None)
    rewarder = load_rewarder(name="encoder", folder_or_url=str(folder), device="cpu")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = rewarder.rewards([talk(answer) for answer in ANSWERS])
    for answer, reward in zip(ANSWERS, found, strict=True):
        told = tokenizer(ASK[0]["content"], answer)
        more = {"token_type_ids": torch.tensor([told["token_type_ids"]])} if "token_type_ids" in told else {}
        assert reward == pytest.approx(plain(folder, told["input_ids"], **more), abs=1e-4)


def test_texts_that_leave_no_token_to_fill_up_with_are_read_one_by_one(rewarder, monkeypatch):
    expected = rewarder.rewards([talk(answer) for answer in ANSWERS])
    monkeypatch.setattr(
        rewarder, "_ending_together", lambda rows, ask=rewarder._ending_together: ask(rows) if len(rows) == 1 else None
    )
    assert rewarder.rewards([talk(answer) for answer in ANSWERS]) == pytest.approx(expected, abs=1e-4)


def test_what_is_no_answer_and_what_is_too_long_is_refused(rewarder):
    with pytest.raises(CannotAnswer, match="the last message of the conversation is not one"):
        rewarder.rewards([ASK])
    with pytest.raises(CannotAnswer, match="tokens; decoder takes 128"):
        rewarder.rewards([talk("plumb " * 200)])


def test_what_is_no_reward_model_is_not_loaded(tmp_path):
    two = save_rewarder(tmp_path / "two", labels=2)
    with pytest.raises(CannotLoad, match="has 2 outputs, and a reward model has one"):
        load_rewarder(name="two", folder_or_url=str(two), device="cpu")
    # Weights of a model that writes: noise would fill the head.
    writes = save(tmp_path / "writes", "llama", num_labels=1)
    with pytest.raises(CannotLoad, match=r"lack 1 tensors \(score\.weight is the first\)"):
        load_rewarder(name="writes", folder_or_url=str(writes), device="cpu")
    pickled = save_rewarder(tmp_path / "pickled")
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(CannotLoad, match="may run code when it is read"):
        load_rewarder(name="pickled", folder_or_url=str(pickled), device="cpu")
    with pytest.raises(CannotLoad, match=r"is not known\. Known is: reward_local"):
        load_rewarder(name="far", kind="openai_compatible", folder_or_url="http://there/v1")


def test_the_files_are_those_that_were_registered(tmp_path, decoder, rewarder):
    again = load_rewarder(name="d", revision=rewarder.revision, folder_or_url=str(decoder), device="cpu")
    assert again.revision == rewarder.revision
    other = save_rewarder(tmp_path / "other", initializer_range=0.2)
    with pytest.raises(CannotLoad, match="are not those that were registered"):
        load_rewarder(name="d", revision=rewarder.revision, folder_or_url=str(other), device="cpu")
