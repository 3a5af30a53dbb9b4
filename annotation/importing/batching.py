"""Checked pairs -> rows for binary COPY, batch by batch, each prompt and candidate of a batch once.

What a row holds beside ids is written down here, while it is read; the ids follow when the batch goes to its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from struct import Struct
from typing import Any, NamedTuple

from annotation.importing import binary, checking
from annotation.importing.reasons import LONGEST_TEXT, Bad, Refusal
from annotation.importing.values import PairRow
from annotation.pairing import as_json, candidate_digest, messages_json, prompt_digest, shuffle_key

# A batch ends after so many rows or characters.
BATCH_ROWS = 4_000
BATCH_CHARACTERS = 16 * 2**20

# Columns in the order in which the rows below hold them.
PROMPT = (
    "id, digest, messages, system, language, external_id, source, project_id, tags, meta, html, renderer, "
    "imported_by_id, created_at"
)
CANDIDATE = (
    "id, prompt_id, digest, messages, model, language, characters, index, revision, strategy, polarity, "
    "template_version, html, renderer, imported_by_id, created_at"
)
INCOMING = "no, line, key, prompt, a, b, source, external_id, label"
SEEN = "no, line, key, source, external_id"
STAGED = (
    "no, line, shuffle, prompt_id, first_id, second_id, a, label, strength, source, external_id, label_kind, tags, "
    "marks, meta"
)

_prompt = Struct(">hiqi32s").pack
_candidate = Struct(">hiqiqi32s").pack
_incoming = Struct(">hiqiqiqi32si32si32s").pack
_seen = Struct(">hiqiqiq").pack
_staged = Struct(">hiqiqiqiqiqiq").pack

_SIDES = {side: binary.text(side) for side in ("first", "second", "tie", "", "a", "b")}


class Checked(NamedTuple):
    """One pair of a batch; the digests say which prompt and candidates it is made of."""

    no: int
    line: int
    # Its place in the drawn order; for a pair with an id also what its id is found by.
    key: int
    prompt: bytes
    a: bytes
    b: bytes
    has_item: bool
    # "a", "b", "tie" or "".
    label: str
    # Positive for a.
    strength: int | None
    # Source and id; and what else a staged row holds behind them.
    names: bytes
    rest: bytes


class Batch:
    """Rows of a file that go to the database together."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows = 0
        self.characters = 0
        self.refusals: list[Refusal] = []
        # digest -> what a prompt's row holds behind it.
        self.prompts: dict[bytes, bytes] = {}
        # (prompt's digest, candidate's digest) -> what a candidate's row holds behind it.
        self.candidates: dict[tuple[bytes, bytes], bytes] = {}
        self.pairs: list[Checked] = []

    @property
    def is_full(self) -> bool:
        return self.rows >= BATCH_ROWS or self.characters >= BATCH_CHARACTERS

    def add(self, no: int, line: int, pair: PairRow) -> None:
        """Raises UnicodeEncodeError for half characters, Bad for a meta that cannot be kept."""
        asked, said_a, said_b = messages_json(pair.prompt), messages_json(pair.a), messages_json(pair.b)
        prompt = prompt_digest(asked, pair.system)
        a = candidate_digest(said_a, pair.model_a)
        b = candidate_digest(said_b, pair.model_b, ordinal=int(said_a == said_b and pair.model_a == pair.model_b))
        meta = _meta(pair)
        key = shuffle_key(self.seed, pair.source, pair.item) if pair.item else _by_content(self.seed, prompt, a, b)
        source = binary.common_text(pair.source)
        names = source + binary.text(pair.item)
        kind = binary.common_text(pair.label_kind)
        rest = kind + binary.texts(pair.tags) + binary.texts(pair.marks) + binary.blob(meta)
        language = binary.common_text(pair.language)
        if prompt not in self.prompts:
            self.prompts[prompt] = b"".join(
                (binary.jsonb(asked), binary.text(pair.system), language, binary.text(pair.prompt_item), source)
            )
        for digest, said, model, messages in ((a, said_a, pair.model_a, pair.a), (b, said_b, pair.model_b, pair.b)):
            if (prompt, digest) not in self.candidates:
                length = binary.integer(sum([len(message["content"]) for message in messages]))
                self.candidates[prompt, digest] = binary.jsonb(said) + binary.common_text(model) + language + length
        self.pairs.append(Checked(no, line, key, prompt, a, b, bool(pair.item), pair.label, pair.strength, names, rest))
        self.characters += len(asked) + len(said_a) + len(said_b) + len(meta)

    def drop(self, gone: set[int]) -> None:
        """Leave out pairs by their `no`, and prompts and candidates that no other pair of the batch has."""
        self.pairs = [pair for pair in self.pairs if pair.no not in gone]
        prompts = {pair.prompt for pair in self.pairs}
        said = {(pair.prompt, digest) for pair in self.pairs for digest in (pair.a, pair.b)}
        self.prompts = {digest: row for digest, row in self.prompts.items() if digest in prompts}
        self.candidates = {key: row for key, row in self.candidates.items() if key in said}

    # ---- rows for COPY ---------------------------------------------------------------------------------------------

    def incoming(self) -> Iterator[bytes]:
        """What is compared with pairs that are here."""
        for pair in self.pairs:
            head = (9, 8, pair.no, 8, pair.line, 8, pair.key, 32, pair.prompt, 32, pair.a, 32, pair.b)
            yield _incoming(*head) + pair.names + _SIDES[pair.label]

    def seen(self) -> Iterator[bytes]:
        """The ids of the batch."""
        for pair in self.pairs:
            if pair.has_item:
                yield _seen(5, 8, pair.no, 8, pair.line, 8, pair.key) + pair.names

    def prompt_rows(self, ids: Mapping[bytes, int], values: Mapping[str, Any]) -> Iterator[bytes]:
        """Rows of the table `prompt` for those that `ids` (digest -> id) names."""
        tail = binary.bigint(values["project"]) + binary.texts([], binary.VARCHAR) + binary.jsonb(b"{}")
        tail += binary.text("") + binary.smallint(0) + binary.bigint(values["run"]) + binary.moment(values["now"])
        for digest, number in ids.items():
            yield _prompt(14, 8, number, 32, digest) + self.prompts[digest] + tail

    def candidate_rows(
        self, keys: Iterable[tuple[int, bytes, bytes]], ids: Iterable[int], values: Mapping[str, Any]
    ) -> Iterator[bytes]:
        """Rows of the table `candidate` for `keys` (the prompt's id and digest, the candidate's digest)."""
        nothing = binary.text("")
        tail = binary.smallint(0) + nothing * 5 + binary.smallint(0)
        tail += binary.bigint(values["run"]) + binary.moment(values["now"])
        for (parent, prompt, digest), number in zip(keys, ids, strict=True):
            yield _candidate(16, 8, number, 8, parent, 32, digest) + self.candidates[prompt, digest] + tail

    def staged(self, prompts: Mapping[bytes, int], candidates: Mapping[tuple[bytes, bytes], int]) -> Iterator[bytes]:
        """The pairs, with the ids of what they are made of; label and strength as first and second see them."""
        first, second = _SIDES["first"], _SIDES["second"]
        for no, line, key, prompt, a, b, _, label, strength, names, rest in self.pairs:
            one, other = candidates[prompt, a], candidates[prompt, b]
            is_first = one < other
            if not is_first:
                one, other = other, one
                strength = None if strength is None else -strength
            side = (first if (label == "a") == is_first else second) if label in ("a", "b") else _SIDES[label]
            yield b"".join(
                (
                    _staged(15, 8, no, 8, line, 8, key, 8, prompts[prompt], 8, one, 8, other),
                    first if is_first else second,
                    side,
                    binary.smallint(strength),
                    names,
                    rest,
                )
            )


def _by_content(seed: int, prompt: bytes, a: bytes, b: bytes) -> int:
    return shuffle_key(seed, prompt.hex(), *sorted((a.hex(), b.hex())))


def _meta(pair: PairRow) -> bytes:
    """What follows `"imported": {…}` in the pair's meta: the rest of the object, with its closing bracket."""
    if not pair.meta:
        return b"}"
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
    return b"," + written[1:].encode()
