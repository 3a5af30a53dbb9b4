"""Rows of a release before they get a layout, and what must hold of them. Pure: knows neither Django nor a trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Message = dict[str, Any]
MESSAGE = pa.struct([pa.field("role", pa.string(), nullable=False), pa.field("content", pa.string(), nullable=False)])
MESSAGES = pa.list_(pa.field("element", MESSAGE, nullable=False))
TAGS = pa.list_(pa.field("element", pa.string(), nullable=False))

# Who may speak last before the answer.
ASKING = ("user", "tool")


class Broken(Exception):
    """A row that would mislead a trainer. The text names the pair and what is wrong with it."""

    def __init__(self, pair_id: int, what: str) -> None:
        super().__init__(f"Pair {pair_id}: {what} Leave it out with --where 'pair!={pair_id}', or mend it.")
        self.pair_id = pair_id


class Record(NamedTuple):
    """A decided pair with its texts. Messages are lists of {"role", "content"} as they are stored.

    `winner` is "first" or "second". `counts` is how often first, second, tie and both bad were given. `strength_mean`
    is positive for the first candidate, None where no strength is known; `agreement` is None below two judgements.
    """

    pair_id: int
    external_id: str
    source: str
    language: str
    tags: list[str]
    system: str
    prompt: list[Message]
    first: list[Message]
    second: list[Message]
    first_model: str
    second_model: str
    winner: str
    counts: Sequence[int]
    agreement: float | None
    strength_mean: float | None

    @property
    def asked(self) -> list[Message]:
        """The prompt with its system message in front."""
        return [{"role": "system", "content": self.system}, *self.prompt] if self.system else self.prompt

    @property
    def chosen(self) -> list[Message]:
        return self.first if self.winner == "first" else self.second

    @property
    def rejected(self) -> list[Message]:
        return self.second if self.winner == "first" else self.first


def check(record: Record) -> Record:
    """Return the record if a preference trainer reads it as it is meant.

    TRL validates nothing: it decides from the first row what all rows are, and asserts none of this.

    Raises:
        Broken: it is a tie; a part is no list of messages with a role and a text, or is empty; chosen equals
            rejected; the prompt does not end with what a user or a tool says; or an answer does not begin with the
            assistant.
    """
    if record.winner not in ("first", "second"):
        raise Broken(record.pair_id, f"the verdict {record.winner!r} chooses no answer, so there is no chosen row.")
    blank = []
    is_plain = True
    for name, messages in (("prompt", record.prompt), ("first answer", record.first), ("second answer", record.second)):
        if type(messages) is not list:
            raise Broken(record.pair_id, f"the {name} is not a list of messages.")
        if not messages:
            raise Broken(record.pair_id, f"the {name} has no message.")
        is_blank = True
        for message in messages:
            try:
                role, content = message["role"], message["content"]
            except (KeyError, TypeError):
                role = content = None
            if type(role) is not str or type(content) is not str:
                raise Broken(record.pair_id, f"the {name} holds something other than a role and a text.")
            is_plain = is_plain and len(message) == 2
            # Most texts show with their first character that they are not blank.
            if is_blank and (content[:1].strip() or content.strip()):
                is_blank = name != "prompt" and role != "assistant"
        if is_blank:
            blank.append(name)
    if record.prompt[-1]["role"] not in ASKING:
        raise Broken(
            record.pair_id, f"the prompt ends with the role {record.prompt[-1]['role']!r}, not with user or tool."
        )
    for name, answer in (("first answer", record.first), ("second answer", record.second)):
        if answer[0]["role"] != "assistant":
            raise Broken(record.pair_id, f"the {name} begins with the role {answer[0]['role']!r}, not with assistant.")
    if blank:
        raise Broken(record.pair_id, f"the {blank[0]} is empty.")
    # What a message carries besides role and content does not leave, and makes no difference.
    if record.first == record.second or (not is_plain and said(record.first) == said(record.second)):
        raise Broken(record.pair_id, "chosen and rejected are the same.")
    return record


def said(messages: list[Message]) -> list[tuple[str, str]]:
    """What leaves the house of messages: roles and texts, in order."""
    return [(message["role"], message["content"]) for message in messages]


# ---- many at a time ------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """One judgement of a pair.

    `verdict` is first, second, tie, both_bad or skip. `strength` is -3 to 3, positive for the first candidate, and None
    where it is not known. `annotator` is a pseudonym, or a name where names were asked for.
    """

    annotator: str
    kind: str
    verdict: str
    strength: int | None
    reason: str
    tags: list[str]
    guideline: int | None


class Mark(NamedTuple):
    """A highlighted part of an answer of one message: which of the pair's, from where to where, end exclusive.

    `annotator` is a number that tells annotators apart and never leaves. `hurts`: marked as a fault, not as a strength.
    """

    annotator: int
    side: str
    start: int
    end: int
    hurts: bool


# One ranking: the rank of each candidate by its number, 1 the best; None where it was not ranked.
Ranks = Mapping[int, int | None]


class Edit(NamedTuple):
    """What the last message of one of a pair's answers became when `annotator` (a pseudonym, or a name) edited it."""

    annotator: str
    side: str
    text: str


@dataclass(frozen=True)
class Rows:
    """Pairs with their texts, as columns of n rows that were checked.

    `first_wins` says which is chosen, and means nothing where the rule chooses none. `verdict` is 1 where what decided
    chose the first, -1 where the second, 0 where it calls it a tie, nan where the rule chooses none; `settled` says
    where an adjudicator decided, and not the rule. `prompt` (MESSAGES) has its system
    message in front. `candidates` (MESSAGES) are the answers, `models` their models,
    and `first_at`, `second_at` say where a row's two stand among them. `counts` has the shape (n, 4): how often first,
    second, tie and both bad were given. `agreement` and `strength_mean` (positive for the first) are nan where they are
    undefined.
    """

    pair_id: NDArray[np.int64]
    external_id: pa.Array
    source: pa.Array
    language: pa.Array
    tags: pa.Array
    prompt: pa.ListArray
    candidates: pa.ListArray
    models: pa.Array
    first_at: NDArray[np.int64]
    second_at: NDArray[np.int64]
    first_wins: NDArray[np.bool_]
    verdict: NDArray[np.float64]
    settled: NDArray[np.bool_]
    counts: NDArray[np.int64]
    agreement: NDArray[np.float64]
    strength_mean: NDArray[np.float64]
    # The number of each row's prompt; and, for layouts that tell them, the judgements of each row in their order.
    prompt_id: NDArray[np.int64]
    said: Sequence[Sequence[Said]] = ()
    # How likely the rule holds what it says of each row, shape (n,), nan where it says nothing; None for other rules.
    probability: NDArray[np.float64] | None = None
    # For layouts made of them: what was highlighted in the answers of each row, and what became of them by an edit.
    marks: Sequence[Sequence[Mark]] = ()
    edits: Sequence[Sequence[Edit]] = ()
    # For layouts by prompt: the numbers of the candidates, and the rankings of each prompt by its number.
    candidate_id: NDArray[np.int64] | None = None
    rankings: Mapping[int, Sequence[Ranks]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pair_id)

    @cached_property
    def first(self) -> pa.ListArray:
        return self.candidates.take(pa.array(self.first_at))

    @cached_property
    def second(self) -> pa.ListArray:
        return self.candidates.take(pa.array(self.second_at))

    @property
    def chosen_at(self) -> NDArray[np.int64]:
        return np.where(self.first_wins, self.first_at, self.second_at)

    @property
    def rejected_at(self) -> NDArray[np.int64]:
        return np.where(self.first_wins, self.second_at, self.first_at)

    @cached_property
    def chosen(self) -> pa.ListArray:
        return self.candidates.take(pa.array(self.chosen_at))

    @cached_property
    def rejected(self) -> pa.ListArray:
        return self.candidates.take(pa.array(self.rejected_at))

    @classmethod
    def of(cls, records: Sequence[Record]) -> Rows:
        """The same, from records."""
        count = len(records)
        undefined = float("nan")
        return cls(
            pair_id=np.array([one.pair_id for one in records], dtype=np.int64),
            external_id=pa.array([one.external_id for one in records], pa.string()),
            source=pa.array([one.source for one in records], pa.string()),
            language=pa.array([one.language for one in records], pa.string()),
            tags=pa.array([one.tags for one in records], TAGS),
            prompt=messages_array([one.asked for one in records]),
            candidates=messages_array([*(one.first for one in records), *(one.second for one in records)]),
            models=pa.array(
                [*(one.first_model for one in records), *(one.second_model for one in records)], pa.string()
            ),
            first_at=np.arange(count),
            second_at=np.arange(count) + count,
            first_wins=np.array([one.winner == "first" for one in records], dtype=bool),
            verdict=np.array([1.0 if one.winner == "first" else -1.0 for one in records]),
            settled=np.zeros(count, dtype=bool),
            counts=np.array([one.counts for one in records], dtype=np.int64).reshape(count, 4),
            agreement=np.array([undefined if one.agreement is None else one.agreement for one in records]),
            strength_mean=np.array([undefined if one.strength_mean is None else one.strength_mean for one in records]),
            prompt_id=np.arange(count),
        )


def messages_array(lists: Sequence[list[Message]]) -> pa.ListArray:
    """Lists of messages as one array; of each message its role and content, and nothing else that it may carry."""
    return pa.array(lists, MESSAGES)


def strict_messages(messages: pa.ListArray) -> pa.ListArray:
    """The same lists of messages, none of them null, as MESSAGES."""
    flat = messages.flatten()
    offsets = np.zeros(len(messages) + 1, dtype=np.int32)
    np.cumsum(pc.list_value_length(messages).to_numpy(), out=offsets[1:])
    each = pa.StructArray.from_arrays([flat.field("role"), flat.field("content")], fields=list(MESSAGE))
    return pa.ListArray.from_arrays(pa.array(offsets), each, type=MESSAGES)


def end_to_end(ones: pa.ListArray, others: pa.ListArray) -> pa.ListArray:
    """Of each row, the messages of the one and then those of the other."""
    first, second = (np.asarray(pc.list_value_length(lists)).astype(np.int64) for lists in (ones, others))
    sizes = first + second
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
    of_first, of_second = (np.repeat(np.cumsum(part) - part, sizes) for part in (first, second))
    border = np.repeat(first, sizes)
    place = np.where(within < border, of_first + within, first.sum() + of_second + within - border)
    each = pa.concat_arrays([ones.flatten(), others.flatten()]).take(pa.array(place))
    return pa.ListArray.from_arrays(pa.array(offsets), each, type=MESSAGES)


def doubtful(
    prompt: pa.ListArray, candidates: pa.ListArray, first_at: NDArray[np.int64], second_at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """The rows of which it cannot be seen at once that `check` passes them: those must be checked one by one.

    Never false for a row that `check` refuses. Rarely true for one that it passes: many rows cost little.
    """
    asks, answers = _Flat.of(prompt), _Flat.of(candidates)
    bad_answer = answers.doubtful(speaker="assistant") | ~answers.at_edge(("assistant",), last=False)
    bad_prompt = asks.doubtful() | ~asks.at_edge(ASKING, last=True)
    same = answers.may_be_same(first_at, second_at)
    found: NDArray[np.bool_] = bad_prompt | bad_answer[first_at] | bad_answer[second_at] | same
    return found


@dataclass(frozen=True)
class _Flat:
    """The messages of many lists one after the other: list i has those from start[i] to start[i + 1]."""

    start: NDArray[np.int64]
    roles: pa.Array
    contents: pa.Array
    # Of the contents: where each begins and ends among the bytes.
    offsets: NDArray[np.int32]
    bytes: NDArray[np.uint8]

    @classmethod
    def of(cls, messages: pa.ListArray) -> _Flat:
        start = np.zeros(len(messages) + 1, dtype=np.int64)
        np.cumsum(pc.list_value_length(messages).fill_null(0).to_numpy(), out=start[1:])
        flat = messages.flatten()
        roles, contents = pc.struct_field(flat, "role"), pc.struct_field(flat, "content")
        # Its own buffers from the first byte on, whatever slice it was cut from.
        contents = pa.concat_arrays([contents]) if contents.offset else contents
        _, offsets, data = contents.buffers()
        return cls(
            start=start,
            roles=roles,
            contents=contents,
            offsets=np.frombuffer(offsets, np.int32, count=len(contents) + 1) if offsets else np.zeros(1, np.int32),
            bytes=np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8),
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.diff(self.start)

    def doubtful(self, speaker: str = "") -> NDArray[np.bool_]:
        """Lists with nothing in them, something that is no text, or no text of `speaker` that is surely not blank."""
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        first = np.zeros(len(owner), dtype=np.uint8)
        filled = np.diff(self.offsets) > 0
        first[filled] = self.bytes[self.offsets[:-1][filled]]
        says = (first > 0x20) & (first < 0x7F)
        for place in np.nonzero(filled & ~says)[0].tolist():
            says[place] = bool((self.contents[place].as_py() or "").strip())
        if speaker:
            says &= pc.equal(self.roles, speaker).fill_null(False).to_numpy(zero_copy_only=False)
        bad: NDArray[np.bool_] = np.bincount(owner[says], minlength=len(self.sizes)) == 0
        for part in (self.roles, self.contents):
            if part.null_count:
                bad[owner[part.is_null().to_numpy(zero_copy_only=False)]] = True
        return bad

    def at_edge(self, roles: tuple[str, ...], *, last: bool) -> NDArray[np.bool_]:
        """Lists whose last (or first) message is of one of `roles`."""
        fits = np.zeros(len(self.sizes), dtype=bool)
        some = self.sizes > 0
        each = pc.is_in(self.roles, value_set=pa.array(roles)).to_numpy(zero_copy_only=False)
        fits[some] = each[self.start[1:][some] - 1 if last else self.start[:-1][some]]
        return fits

    def may_be_same(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether two lists are as long and end alike."""
        ends = self.offsets[self.start[1:]].astype(np.int64)
        begins = self.offsets[self.start[:-1]].astype(np.int64)
        sizes = ends - begins
        same: NDArray[np.bool_] = (self.sizes[one] == self.sizes[other]) & (sizes[one] == sizes[other])
        for back in range(1, 25):
            left = same & (sizes[one] >= back)
            if not left.any():
                break
            same[left] = self.bytes[ends[one[left]] - back] == self.bytes[ends[other[left]] - back]
        return same
