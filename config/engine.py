"""Whether this Python can load models: told without loading anything."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("torch", "transformers")
HOW = "make engine"


def is_installed() -> bool:
    """True where a worker of this installation can load local models. Imports none of what it looks for."""
    return all(find_spec(name) is not None for name in NEEDED)
