"""Between words and tokens: a conversation as the model's own chat template puts it, and the tokens of an option.

Text is data: what looks like a control token in a message, a completion or a prefix is encoded as plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2

from workers.backends.primitives import TEXT, CannotAnswer, CannotLoad, Message

# For a base model, which has no chat template. Its like is in countless texts, so that a base model goes on with it.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% elif message['role'] == 'user' %}# Query:\n{{ message['content'] }}\n\n"
    "{% else %}# Answer:\n{{ message['content'] }}\n\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}# Answer:\n{% endif %}"
)
PROBE = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]


class Wording:
    """A tokenizer and its chat template, checked once."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.has_template = bool(tokenizer.chat_template)
        if not self.has_template:
            tokenizer.chat_template = PLAIN_TEMPLATE
        try:
            self._rendered(PROBE)
        except (jinja2.TemplateError, ValueError, TypeError, KeyError) as error:
            raise CannotLoad(
                f"The model's chat template cannot render a plain conversation ({type(error).__name__}). "
                "Correct chat_template in the model's folder."
            ) from error
        try:
            with_system = self._rendered([{"role": "system", "content": "zqx"}, *PROBE])
            self.takes_system = "zqx" in tokenizer.decode(with_system)
        except jinja2.TemplateError:
            self.takes_system = False

    def _rendered(self, messages: Sequence[Message], *, goes_on: bool = True) -> list[int]:
        ids = self.tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=goes_on,
            tokenize=True,
            return_dict=False,
            sanitize_control_tokens=True,
        )
        return [int(token) for token in ids]

    def whole(self, conversation: Sequence[Message]) -> list[int]:
        """Tokens of a conversation that is over, its last answer among them. Raises CannotAnswer."""
        messages = conversation if self.takes_system else _system_in_user(conversation)
        try:
            return self._rendered(messages, goes_on=False)
        except (jinja2.TemplateError, ValueError) as error:
            raise CannotAnswer(
                f"The model's chat template refuses a conversation of the roles "
                f"{', '.join(message['role'] for message in conversation)}: {error}"
            ) from error

    def plain(self, text: str, *, start: bool = False) -> list[int]:
        """Tokens of a text in which nothing is a control token; `start`: with the tokenizer's own beginning."""
        ids = self.tokenizer(text, add_special_tokens=start, split_special_tokens=True)["input_ids"]
        return [int(token) for token in ids]

    def prompt(self, conversation: Sequence[Message], *, prefix: str = "") -> list[int]:
        """Tokens up to where the assistant's answer begins, and the prefix of that answer. Raises CannotAnswer."""
        if not conversation:
            raise CannotAnswer("A conversation has no message. Give at least one.")
        unknown = sorted({message["role"] for message in conversation} - {"system", "user", "assistant", TEXT})
        if unknown:
            raise CannotAnswer(f"The role “{unknown[0]}” is not known. Known are: system, user, assistant, {TEXT}.")
        tail = self.plain(prefix) if prefix else []
        if any(message["role"] == TEXT for message in conversation):
            if len(conversation) != 1:
                raise CannotAnswer(f"A message with the role “{TEXT}” stands alone: it is continued as it is.")
            ids = self.plain(conversation[0]["content"], start=True) + tail
        else:
            messages = conversation if self.takes_system else _system_in_user(conversation)
            try:
                ids = self._rendered(messages) + tail
            except (jinja2.TemplateError, ValueError) as error:
                raise CannotAnswer(
                    f"The model's chat template refuses a conversation of the roles "
                    f"{', '.join(message['role'] for message in conversation)}: {error}"
                ) from error
        if not ids:
            first = self.tokenizer.bos_token_id
            if first is None:
                first = self.tokenizer.eos_token_id
            if first is None:
                raise CannotAnswer("An empty text cannot be continued: the model has no token for a beginning.")
            ids = [int(first)]
        return ids

    def text(self, tokens: Sequence[int], *, after: str = "") -> str:
        """The text of generated tokens. `after`: the prefix that they continue, so that a space between is kept."""
        head = self.plain(after) if after else []
        whole = self.tokenizer.decode([*head, *tokens], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        begin = self.tokenizer.decode(head, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(whole[len(begin) :])

    def options(self, options: Sequence[str]) -> list[list[int]]:
        """For each option the tokens that are exactly it, alone or after a space: checked against this tokenizer.

        An option of several tokens counts by its first one, only where no other option could begin with that token.
        Raises CannotLoad with a sentence where two options cannot be told apart by their first token.
        """
        found: list[list[int]] = []
        for option in options:
            found.append(sorted(self._single(option) or self._first(option)))
            if not found[-1]:
                raise CannotLoad(f"The option “{option}” has no token in this model's tokenizer. Use another model.")
        for i, option in enumerate(options):
            for j, other in enumerate(options[:i]):
                if set(found[i]) & set(found[j]):
                    raise CannotLoad(
                        f"The options “{other}” and “{option}” begin with the same token in this model's tokenizer, so "
                        "its answer could not be told. Use another model as judge."
                    )
        return found

    def _spellings(self, option: str) -> list[list[int]]:
        return [self.plain(option), self.plain(f" {option}")]

    def _first(self, option: str) -> set[int]:
        """The first tokens of the option's spellings, where they are already a piece of it and not only a space."""
        firsts = {ids[0] for ids in self._spellings(option) if ids}
        pieces = {token: self.tokenizer.decode([token]).lstrip() for token in firsts}
        return {token for token, piece in pieces.items() if piece and option.startswith(piece)}

    def _single(self, option: str) -> set[int]:
        """Tokens which decode to the option and nothing else but white space before it."""
        ids = {spelled[0] for spelled in self._spellings(option) if len(spelled) == 1}
        vocabulary = self.tokenizer.get_vocab()
        # SentencePiece spells a bare word with a space before it, so the piece without one is asked for by name.
        ids |= {vocabulary[piece] for piece in (option, f"Ġ{option}", f"▁{option}") if piece in vocabulary}
        special = set(self.tokenizer.all_special_ids)
        return {token for token in ids if token not in special and self.tokenizer.decode([token]).lstrip() == option}


def _system_in_user(conversation: Sequence[Message]) -> list[Message]:
    """For a template that knows no system message: it stands at the head of the first user's message instead."""
    system = [message["content"] for message in conversation if message["role"] == "system"]
    rest = [dict(message) for message in conversation if message["role"] != "system"]
    if system and rest and rest[0]["role"] == "user":
        rest[0]["content"] = "\n\n".join([*system, rest[0]["content"]])
    elif system:
        rest.insert(0, {"role": "user", "content": "\n\n".join(system)})
    return rest
