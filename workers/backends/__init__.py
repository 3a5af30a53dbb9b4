"""Models: the three primitives, and the backends that answer them."""

from __future__ import annotations

from config import engine
from workers.backends.primitives import (
    TEXT,
    Backend,
    Beat,
    CannotAnswer,
    CannotLoad,
    Checkpoint,
    Choice,
    Generated,
    LogitsProcessor,
    Message,
    Partial,
    Rewarder,
    Sampling,
    Scored,
    Top,
    in_both_orders,
)

TRANSFORMERS_LOCAL = "transformers_local"
OPENAI_COMPATIBLE = "openai_compatible"
KINDS = (TRANSFORMERS_LOCAL, OPENAI_COMPATIBLE)
# Reward models answer no question: they are loaded by `load_rewarder`.
REWARD_LOCAL = "reward_local"

__all__ = [
    "KINDS",
    "OPENAI_COMPATIBLE",
    "REWARD_LOCAL",
    "TEXT",
    "TRANSFORMERS_LOCAL",
    "Backend",
    "Beat",
    "CannotAnswer",
    "CannotLoad",
    "Checkpoint",
    "Choice",
    "Generated",
    "LogitsProcessor",
    "Message",
    "Partial",
    "Rewarder",
    "Sampling",
    "Scored",
    "Top",
    "in_both_orders",
    "load_backend",
    "load_rewarder",
]


def load_backend(
    *,
    name: str,
    revision: str = "",
    kind: str,
    folder_or_url: str = "",
    digest: str = "",
    device: str = "",
    dtype: str = "auto",
) -> Backend:
    """A model, ready to answer.

    name: what the candidates and judgements will say made them; for a model of the hub, its name there.
    revision: the commit of a hub model (40 hexadecimal digits); the digest of a folder, checked where it is given.
    folder_or_url: a local folder, or the base address of an endpoint ("http://host:8000/v1"); empty: from the hub.
    digest: of a hub model's files, checked where it is given.
    device: "auto", "cpu", "cuda", "cuda:1"; empty: what PLUMBLINE_DEVICE says.
    dtype: "auto" (bfloat16 on CUDA, float32 on a CPU), "float32", "bfloat16", "float16".
    Raises CannotLoad with a sentence.
    """
    if kind == TRANSFORMERS_LOCAL:
        _refuse_without_engine(name)
        from workers.backends.transformers_local import load

        return load(name=name, revision=revision, folder=folder_or_url, digest=digest, device=device, dtype=dtype)
    if kind == OPENAI_COMPATIBLE:
        from workers.backends.openai_compatible import connect

        return connect(name=name, revision=revision, url=folder_or_url)
    raise CannotLoad(f"The kind of backend “{kind}” is not known. Known are: {', '.join(KINDS)}.")


def load_rewarder(
    *,
    name: str,
    revision: str = "",
    kind: str = REWARD_LOCAL,
    folder_or_url: str = "",
    digest: str = "",
    device: str = "",
    dtype: str = "auto",
) -> Rewarder:
    """A reward model, ready to answer: a sequence classification of transformers with one output.

    The arguments are those of `load_backend`. Raises CannotLoad with a sentence.
    """
    if kind != REWARD_LOCAL:
        raise CannotLoad(f"The kind of reward model “{kind}” is not known. Known is: {REWARD_LOCAL}.")
    _refuse_without_engine(name)
    from workers.backends.reward_local import load

    return load(name=name, revision=revision, folder=folder_or_url, digest=digest, device=device, dtype=dtype)


def _refuse_without_engine(name: str) -> None:
    if not engine.is_installed():
        raise CannotLoad(
            f"{name} is a local model, and what loads it (torch and transformers) is not installed where this worker "
            f"runs. Install it with `{engine.HOW}` (on a server from requirements-gpu.txt), start the worker again and "
            "check the model again. An endpoint needs neither."
        )
