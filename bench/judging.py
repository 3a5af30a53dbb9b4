"""Judgements per second of one pair by 21 principles in both orders, against single calls of the model.

    python -m bench.judging [--quick] [--device cuda] [--shape 1b]

Two templates, which are two judges: `paper` (the principle before the candidates, so that only the prompt is shared)
and `principle-last` (everything but the principle is shared: computed once, its keys and values read for all
principles). Each by three ways that take turns, the median of each counts: single calls of the model, one conversation
each (naive); `choose`, in batches; `choose_after_prefix`, which the engine uses.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.generating import SHAPES, WORDS, load, make_model, timed
from bench.harness import set_up

PRINCIPLES = 21
OPTIONS = ("A", "B", "NA")
SYSTEM = (
    "Say whether Response 'A' or Response 'B' better adheres to the Principle for a Prompt, or 'NA' if neither does."
)
TEMPLATES = {
    "paper": "## Prompt:\n{prompt}\n\n## Principle:\n{principle}\n\n## Response 'A':\n{a}\n\n## Response 'B':\n{b}\n\n"
    "## Answer:\nWhich adheres to the Principle {principle} the most? Answer only with 'A', 'B' or 'NA'.",
    "principle-last": "## Prompt:\n{prompt}\n\n## Response 'A':\n{a}\n\n## Response 'B':\n{b}\n\n## Principle:\n"
    "{principle}\n\n## Answer:\nWhich adheres to the Principle the most? Answer only with 'A', 'B' or 'NA'.",
}


def text(words: int, seed: int) -> str:
    return " ".join(WORDS[(seed * 7 + i * (seed + 1)) % len(WORDS)] for i in range(words))


def questions(template: str, *, words: int) -> list[list[list[dict[str, str]]]]:
    """The two orders of one pair, each with a conversation per principle."""
    first, second, prompt = text(words, 1), text(words, 2), text(words // 3, 3)
    principles = [f"The AI should {text(8, seed)}." for seed in range(4, 4 + PRINCIPLES)]
    return [
        [
            [
                {"role": "system", "content": SYSTEM},
                {
                    "role": "user",
                    "content": TEMPLATES[template].format(prompt=prompt, principle=principle, a=a, b=b),
                },
            ]
            for principle in principles
        ]
        for a, b in ((first, second), (second, first))
    ]


def run(backend: Any, *, words: int, rounds: int) -> dict[str, dict[str, float]]:
    import numpy as np
    import torch

    cuda = backend.network.device.type == "cuda"
    results: dict[str, dict[str, float]] = {}
    tokens = backend.wording.options(OPTIONS)
    for template in TEMPLATES:
        orders = questions(template, words=words)
        answers: dict[str, list[Any]] = {}

        def single(orders: list[Any] = orders, answers: dict[str, list[Any]] = answers) -> None:
            """What one would write at first: tokenize, call, softmax, one question after the other."""
            answers["single"] = []
            with torch.inference_mode():
                for order in orders:
                    for question in order:
                        ids = torch.tensor([backend.wording.prompt(question)], device=backend.network.device)
                        last = backend.network(ids, logits_to_keep=1).logits[0, -1].float().softmax(-1)
                        answers["single"].append([float(sum(last[token] for token in ids)) for ids in tokens])

        def batched(orders: list[Any] = orders, answers: dict[str, list[Any]] = answers) -> None:
            both = [question for order in orders for question in order]
            answers["batched"] = [one.probabilities for one in backend.choose(both, options=OPTIONS)]

        def engine(orders: list[Any] = orders, answers: dict[str, list[Any]] = answers) -> None:
            told = [backend.choose_after_prefix(order, options=OPTIONS) for order in orders]
            answers["engine"] = [one.probabilities for order in told for one in order]

        ways: dict[str, Callable[[], None]] = {"single": single, "batched": batched, "engine": engine}
        backend.choose(orders[0][:1], options=OPTIONS)  # Warm.
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, act in ways.items():
                seconds[name].append(timed(act, cuda=cuda))
        for name in ("batched", "engine"):  # Quick and wrong would be worth nothing.
            np.testing.assert_allclose(answers[name], answers["single"], atol=2e-2 if cuda else 1e-5)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        n = 2 * PRINCIPLES
        results[template] = {
            "judgements_per_s": round(n / median["engine"], 1),
            "ratio": round(median["single"] / median["engine"], 2),
            "ratio_of_batches_alone": round(median["single"] / median["batched"], 2),
            "tokens": len(backend.wording.prompt(orders[0][0])),
        }
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model; ends within 30 s")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shape", choices=sorted(SHAPES), help="default: small; tiny with --quick")
    options = parser.parse_args()
    shape = options.shape or ("tiny" if options.quick else "small")
    set_up()
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), shape, device=options.device)
        backend = load(Path(folder), device=options.device)
        results = run(backend, words=120, rounds=3)
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
        "target": "ratio >= 3",
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
