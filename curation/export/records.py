"""One row of a release before it gets a layout, and what must hold of it. Pure: knows neither Django nor a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Message = dict[str, Any]
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
