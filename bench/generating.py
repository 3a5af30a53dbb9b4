"""Tokens per second of the local backend against plain `model.generate` in a loop, one prompt after the other.

    python -m bench.generating [--quick] [--device cuda] [--shape 1b]

Same model, same prompts, same lengths: a random Llama that never ends a turn by itself, sampled with seeds. The loop
and the backend take turns, and the median of each counts. Batched `model.generate` is told too: it is what a batch
without slots would give, for prompts of one length whose answers all end together, which is the best it can meet.
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

from annotation.questions import TEMPLATES
from bench.harness import set_up

# Small enough for a CPU, and the same shape as the large ones. On a GPU: --shape 1b or 7b, in bfloat16.
SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4},
    "small": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 8},
    "1b": {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
}
BATCHES = (1, 8, 32)
WORDS = ["plumb", "line", "true", "short", "answer", "right", "reason", "number", "principle", "judge", "pair", "no"]


def make_model(folder: Path, shape: str, *, device: str) -> None:
    """A random Llama and a byte-level tokenizer trained on a few texts, as a folder like any other."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False)
    # A word is a token or two, as with real models, in what judges are asked too.
    asked = [text for one in TEMPLATES.values() for text in (one.system, one.user, one.user_overall)]
    tokenizer.train_from_iterator([" ".join(WORDS), "The AI should A B NA", *asked], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        **SHAPES[shape],
        vocab_size=32_000 if shape in {"1b", "7b"} else 4_096,
        max_position_embeddings=4_096,
        eos_token_id=None,
        bos_token_id=None,
    )
    with torch.device(device):
        network = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    network.generation_config.eos_token_id = None
    network.save_pretrained(folder)


def load(folder: Path, *, device: str) -> Any:
    from workers.backends import load_backend

    backend: Any = load_backend(name="bench", kind="transformers_local", folder_or_url=str(folder), device=device)
    backend.decoder.ends = frozenset()
    return backend


def prompts(n: int) -> list[list[dict[str, str]]]:
    """One length: what batched generate likes best."""
    return [[{"role": "user", "content": " ".join(WORDS[(i + k) % len(WORDS)] for k in range(24))}] for i in range(n)]


def timed(act: Callable[[], None], *, cuda: bool) -> float:
    import torch

    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    act()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def run(backend: Any, *, tokens: int, rounds: int) -> dict[str, dict[str, float]]:
    import torch

    from workers.backends import Sampling

    cuda = backend.network.device.type == "cuda"
    plain = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": tokens}
    results: dict[str, dict[str, float]] = {}
    for batch in BATCHES:
        asked = prompts(batch)
        ids = [torch.tensor([backend.wording.prompt(one)], device=backend.network.device) for one in asked]
        shortest = min(one.shape[1] for one in ids)

        def ours(asked: list[Any] = asked) -> None:
            got = dict(backend.generate(asked, sampling=Sampling(max_tokens=tokens), seeds=range(len(asked))))
            assert sum(one.token_count for one in got.values()) == tokens * len(asked)

        def loop(ids: list[Any] = ids) -> None:
            for one in ids:
                made = backend.network.generate(one, attention_mask=torch.ones_like(one), pad_token_id=0, **plain)
                assert made.shape[1] == one.shape[1] + tokens

        def batched(ids: list[Any] = ids, width: int = shortest) -> None:
            block = torch.cat([one[:, :width] for one in ids])
            made = backend.network.generate(block, attention_mask=torch.ones_like(block), pad_token_id=0, **plain)
            assert made.shape == (len(ids), width + tokens)

        backend.decoder.rows = batch
        seconds: dict[str, list[float]] = {"ours": [], "loop": [], "batched": []}
        for act in (ours, loop):  # Warm, on little.
            act(asked[:1] if act is ours else ids[:1])
        for _ in range(rounds * (5 if batch == 1 else 1)):  # One prompt is soon done, and its median easily disturbed.
            for name, act in (("ours", ours), ("loop", loop), ("batched", batched)):
                seconds[name].append(timed(act, cuda=cuda))
        median = {name: statistics.median(values) for name, values in seconds.items()}
        results[str(batch)] = {
            "tokens_per_s": round(batch * tokens / median["ours"], 1),
            "ratio": round(median["loop"] / median["ours"], 2),
            "ratio_to_batched": round(median["batched"] / median["ours"], 2),
        }
    return results


def read_per_s(backend: Any, tokens_per_s: float, batch: int) -> float:
    """Bytes of weights: every step reads all of them once, whatever the batch. Keys and values are not counted."""
    size = sum(one.numel() * one.element_size() for one in backend.network.parameters())
    return float(size * tokens_per_s / batch)


def bandwidth(device: str, *, size: int = 2**30, rounds: int = 10) -> float:
    """Bytes per second that this device's memory gives, seen and not looked up: the best of some plain copies.

    A copy of n bytes reads n and writes n.
    """
    import torch

    one = torch.zeros(size, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)

    def copy() -> None:
        other.copy_(one)

    copy()
    return 2 * size / min(timed(copy, cuda=device == "cuda") for _ in range(rounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer tokens and rounds; ends within 30 s")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--shape", default="tiny", choices=sorted(SHAPES))
    options = parser.parse_args()
    set_up()
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder), options.shape, device=options.device)
        backend = load(Path(folder), device=options.device)
        results = run(backend, tokens=16 if options.quick else 64, rounds=3 if options.quick else 5)
    report: dict[str, Any] = {
        "name": "generating",
        "figure": results["32"]["tokens_per_s"],
        "unit": "tokens/s at 32 slots",
        "ratio": results["32"]["ratio"],
        "compared_with": "model.generate in a loop over single prompts, same model, in turns",
        "batches": results,
        "shape": options.shape,
        "device": options.device,
        "target": "ratio >= 1.0 everywhere, >= 3 at 32",
    }
    if options.device == "cuda":
        import torch

        report["device"] = torch.cuda.get_device_name()
        limit = bandwidth("cuda")
        report["memory_TB_per_s"] = round(limit / 1e12, 3)
        report["bandwidth_share"] = {
            batch: round(read_per_s(backend, one["tokens_per_s"], int(batch)) / limit, 3)
            for batch, one in results.items()
        }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
