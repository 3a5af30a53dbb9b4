"""Checked pairs -> lines for COPY, batch by batch, each prompt and candidate of a batch once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.importing import checking
from annotation.importing.layouts import PairRow
from annotation.importing.reasons import LONGEST_TEXT, Bad, Refusal
from annotation.pairing import as_json, candidate_digest, prompt_digest, shuffle_key

# A batch ends after so many rows or characters.
BATCH_ROWS = 4_000
BATCH_CHARACTERS = 16 * 2**20


def _cell(value: str) -> str:
    """Text as COPY wants it."""
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return value


def _array(values: list[str]) -> str:
    inner = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return _cell("{" + inner + "}")


class Batch:
    """Rows written down as lines for COPY, each prompt and candidate once."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows = 0
        self.characters = 0
        self.refusals: list[Refusal] = []
        self.prompts: dict[bytes, bytes] = {}
        # (messages, model, language, characters) as COPY wants them.
        self.candidates: dict[tuple[bytes, bytes], tuple[str, str, str, int]] = {}
        self.pairs: list[bytes] = []
        self.with_item = 0

    @property
    def is_full(self) -> bool:
        return self.rows >= BATCH_ROWS or self.characters >= BATCH_CHARACTERS

    def add(self, no: int, line: int, pair: PairRow) -> None:
        """Raises UnicodeEncodeError for half characters, Bad for a meta that cannot be kept."""
        asked, said_a, said_b = as_json(pair.prompt), as_json(pair.a), as_json(pair.b)
        prompt = prompt_digest(asked, pair.system)
        a = candidate_digest(said_a, pair.model_a)
        b = candidate_digest(said_b, pair.model_b, ordinal=int(said_a == said_b and pair.model_a == pair.model_b))
        meta = _meta(pair)
        shuffle = shuffle_key(self.seed, pair.source, pair.item) if pair.item else _by_content(self.seed, prompt, a, b)
        told = "\\N" if pair.strength is None else str(pair.strength)
        written = (
            f"{no}\t{line}\t{_cell(pair.source)}\t{_cell(pair.item)}\t\\\\x{prompt.hex()}\t\\\\x{a.hex()}\t\\\\x{b.hex()}\t"
            f"{shuffle}\t{pair.label}\t{_cell(pair.label_kind)}\t{told}\t{_array(pair.tags) if pair.tags else '{}'}\t"
            f"{_array(pair.marks) if pair.marks else '{}'}\t{_cell(meta)}\n"
        ).encode()
        if prompt not in self.prompts:
            self.prompts[prompt] = (
                f"\\\\x{prompt.hex()}\t{_cell(asked)}\t{_cell(pair.system)}\t{pair.language}\t{_cell(pair.prompt_item)}\t"
                f"{_cell(pair.source)}\n"
            ).encode()
        for digest, said, model, messages in ((a, said_a, pair.model_a, pair.a), (b, said_b, pair.model_b, pair.b)):
            if (prompt, digest) not in self.candidates:
                length = sum(len(message["content"]) for message in messages)
                self.candidates[prompt, digest] = (_cell(said), _cell(model), pair.language, length)
        self.pairs.append(written)
        self.with_item += bool(pair.item)
        self.characters += len(asked) + len(said_a) + len(said_b) + len(meta)

    def candidates_in_order(self, new: dict[bytes, int], values: Mapping[str, Any]) -> tuple[list[bytes], list[bytes]]:
        """Lines for the table of candidates (of the `new` prompts, digest -> id), and for the temporary one (the rest).

        Within a prompt the candidates get their numbers by digest: the order says nothing about the file's sides.
        """
        fresh, others = [], []
        run = "\\N" if values["run"] is None else str(values["run"])
        # With `some`, rows of this batch were refused: only what is still wanted may be made.
        for (prompt, digest), (said, model, language, length) in sorted(self.candidates.items()):
            number = None if values["some"] else new.get(prompt)
            if number is None:
                others.append(
                    f"\\\\x{prompt.hex()}\t\\\\x{digest.hex()}\t{said}\t{model}\t{language}\t{length}\n".encode()
                )
            else:
                fresh.append(
                    f"{number}\t{said}\t\\\\x{digest.hex()}\t0\t{model}\t\t\t\t\t{language}\t\t0\t{length}\t{run}\t"
                    f"{values['now']}\n".encode()
                )
        return fresh, others


def _by_content(seed: int, prompt: bytes, a: bytes, b: bytes) -> int:
    return shuffle_key(seed, prompt.hex(), *sorted((a.hex(), b.hex())))


def _meta(pair: PairRow) -> str:
    """What follows `"imported": {…}` in the pair's meta: the rest of the object, with its closing bracket."""
    if not pair.meta:
        return "}"
    if "imported" in pair.meta:
        raise Bad(
            "bad_value", "meta holds the name imported, which the import uses itself.", str(pair.meta["imported"])
        )
    try:
        written = as_json(pair.meta)
    except ValueError as error:
        if isinstance(error, UnicodeEncodeError):
            raise
        raise Bad("not_finite", "A number in meta is NaN or infinite.", str(pair.meta)) from error
    if len(written) > LONGEST_TEXT:
        raise Bad("text_too_long", f"meta has {len(written):,} characters.", written[:200])
    if "\\u0000" in written:
        checking.check_json(pair.meta)
    return "," + written[1:]
