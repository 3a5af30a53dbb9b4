"""Judgements per second of one pair by 21 principles in both orders, against single calls of the model.

    python -m bench.judging [--quick] [--device cuda] [--shape 1b] [--words N]

The product's two templates, which are two judges: `oracle` (the paper's: the principle before the candidates, so that
only the prompt is shared) and `principle-last` (everything but the principle is shared: computed once, its keys and
values read for all principles). Each by three ways that take turns, the median of each counts: single calls of the
model, one conversation each (naive); `choose`, in batches; and as a judging run asks, which is the engine.

On a CPU the seconds are those that the processor worked for it, so that neighbours do not count; on a GPU those that
passed.

`reading` is how many tokens the single calls read for each one that the engine reads. Where a model's time goes with
what it reads, as on a CPU, no engine can be quicker than the single calls by more than the best `reading` there can be.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.generating import SHAPES, WORDS, load, make_model, timed
from bench.harness import set_up

PRINCIPLES = 21
OPTIONS = ("A", "B", "NA")
# Words of each candidate; the prompt has a third of them.
LENGTH = 120


def text(words: int, seed: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * (seed + 1)) % len(WORDS)] for i in range(words))


def asked(template: str, *, words: int) -> list[tuple[list[list[dict[str, str]]], bool]]:
    """The questions about one pair in the calls that a judging run makes of them, and whether a call's beginning is
    shared."""
    from annotation.asking import Question
    from annotation.questions import TEMPLATES
    from workers.judging import grouped

    wording = TEMPLATES[template]
    prompt, sides = text(words // 3, 3), (text(words, 1), text(words, 2))
    principles = [f"The AI should {text(8, seed)}." for seed in range(4, 4 + PRINCIPLES)]
    questions = [Question(1, number, swapped) for swapped in (False, True) for number in range(PRINCIPLES)]

    def conversation(one: Question) -> list[dict[str, str]]:
        a, b = sides[::-1] if one.swapped else sides
        assert one.principle_id is not None
        return wording.ask(prompt=prompt, a=a, b=b, principle=principles[one.principle_id])

    return [([conversation(one) for one in some], is_shared) for some, is_shared in grouped(wording, questions)]


def worked(act: Callable[[], None]) -> float:
    """CPU seconds of all threads of this process."""
    began = time.process_time()
    act()
    return time.process_time() - began


def run(backend: Any, template: str, *, words: int, rounds: int) -> dict[str, float]:
    import numpy as np
    import torch

    cuda = backend.network.device.type == "cuda"
    tokens = backend.wording.options(OPTIONS)
    calls = asked(template, words=words)
    every = [question for some, _ in calls for question in some]
    answers: dict[str, list[Any]] = {}

    def single() -> None:
        """What one would write at first: tokenize, call, softmax, one question after the other."""
        answers["single"] = []
        with torch.inference_mode():
            for question in every:
                ids = torch.tensor([backend.wording.prompt(question)], device=backend.network.device)
                last = backend.network(ids, logits_to_keep=1).logits[0, -1].float().softmax(-1)
                answers["single"].append([float(sum(last[token] for token in ids)) for ids in tokens])

    def batched() -> None:
        answers["batched"] = [one.probabilities for one in backend.choose(every, options=OPTIONS)]

    def engine() -> None:
        told = [
            (backend.choose_after_prefix if is_shared else backend.choose)(some, options=OPTIONS)
            for some, is_shared in calls
        ]
        answers["engine"] = [one.probabilities for some in told for one in some]

    ways: dict[str, Callable[[], None]] = {"single": single, "batched": batched, "engine": engine}
    backend.choose(every[:1], options=OPTIONS)  # Warm.
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    read: dict[str, int] = {}
    for _ in range(rounds):
        for name, act in ways.items():
            before = backend.spent
            seconds[name].append(timed(act, cuda=True) if cuda else worked(act))
            read[name] = backend.spent - before
    for name in ("batched", "engine"):  # Quick and wrong would be worth nothing.
        np.testing.assert_allclose(answers[name], answers["single"], atol=2e-2 if cuda else 1e-5)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    alone = sum(len(backend.wording.prompt(question)) for question in every)
    return {
        "judgements_per_s": round(len(every) / median["engine"], 1),
        "ratio": round(median["single"] / median["engine"], 2),
        "ratio_of_batches_alone": round(median["single"] / median["batched"], 2),
        "reading": round(alone / read["engine"], 2),
        "tokens": round(alone / len(every)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model; ends within 30 s")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shape", choices=sorted(SHAPES), help="default: small; tiny with --quick")
    parser.add_argument("--words", type=int, default=LENGTH, help=f"of each candidate; default: {LENGTH}")
    options = parser.parse_args()
    shape = options.shape or ("tiny" if options.quick else "small")
    set_up()
    from annotation.questions import TEMPLATES

    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), shape, device=options.device)
        backend = load(Path(folder), device=options.device)
        rounds = 2 if options.quick else 5
        results = {name: run(backend, name, words=options.words, rounds=rounds) for name in TEMPLATES}
    report = {
        "name": "judging",
        "figure": results["principle-last"]["judgements_per_s"],
        "unit": "judgements/s, template principle-last",
        "ratio": results["principle-last"]["ratio"],
        "compared_with": "single calls of the model, one question each, same model and template, in turns",
        "templates": results,
        "principles": PRINCIPLES,
        "orders": 2,
        "shape": shape,
        "device": options.device,
        "seconds": "passed" if options.device == "cuda" else "of the processor",
        "target": "ratio >= 3",
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
