"""A reward model in this process: a sequence classification of transformers with one output, safetensors only.

What it reads is the whole conversation with the candidate as its end, as its own chat template puts it. A model without
a template reads a pair of texts, the prompt and the answer, as encoders are trained to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from workers.backends.batching import Batched
from workers.backends.decoding import is_out_of_memory
from workers.backends.locating import SAFE, be_quiet, device_of, home_of, numbers_of, one_line, refuse_missing
from workers.backends.primitives import Beat, CannotAnswer, CannotLoad, Message
from workers.backends.slots import left_padded
from workers.backends.wording import Wording

KIND = "reward_local"


def load(*, name: str, revision: str, folder: str, digest: str, device: str, dtype: str) -> Local:
    """Check, then load. Raises CannotLoad with a sentence. See `workers.backends.load_rewarder`."""
    home, revision, digest = home_of(name=name, revision=revision, folder=folder, digest=digest)
    where = device_of(device)
    number = numbers_of(dtype, where)
    be_quiet()
    try:
        config = AutoConfig.from_pretrained(home, **SAFE)
        if config.num_labels != 1:
            raise CannotLoad(
                f"{name} has {config.num_labels} outputs, and a reward model has one. If it writes texts, "
                "register it as one that does."
            )
        tokenizer = AutoTokenizer.from_pretrained(home, **SAFE)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            home, config=config, dtype=number, use_safetensors=True, output_loading_info=True, **SAFE
        )
        model = model.to(where).eval()
    except CannotLoad:
        raise
    except Exception as error:  # transformers raises anything; whatever it is, the model cannot be used
        if is_out_of_memory(error):
            raise CannotLoad(f"{name} does not fit into the memory of {where}.") from error
        raise CannotLoad(f"{name} cannot be loaded from {home}: {one_line(error)}") from error
    refuse_missing(name, report)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise CannotLoad(f"The tokenizer of {name} has more tokens than the model. They do not belong together.")
    local = Local(name=name, revision=revision, digest=digest, model=model, tokenizer=tokenizer)
    local.check_itself()
    return local


@dataclass(frozen=True)
class Row:
    """The tokens of what is read, and of which text each is (0 the first, 1 the second) where the model is told."""

    tokens: list[int]
    kinds: Sequence[int] = ()


class Local(Batched):
    """`workers.backends.Rewarder` by a transformers model."""

    kind = KIND

    def __init__(self, *, name: str, revision: str, model: Any, tokenizer: Any, digest: str = "") -> None:
        super().__init__(model=name, network=model)
        self.revision, self.digest = revision, digest
        self.is_toy = bool(getattr(model.config, "is_toy", False))
        self.tokenizer = tokenizer
        self.wording = Wording(tokenizer) if tokenizer.chat_template else None
        # Decoders take the reward from the last token, encoders from the first one.
        self.reads_the_end = hasattr(model, "score")
        self.text_config = model.config.get_text_config()

    def rewards(self, conversations: Sequence[Sequence[Message]], *, beat: Beat | None = None) -> list[float]:
        return self._of([self._read(conversation) for conversation in conversations], beat)

    def _read(self, conversation: Sequence[Message]) -> Row:
        if not conversation or conversation[-1]["role"] != "assistant":
            raise CannotAnswer("A reward is that of an answer: the last message of the conversation is not one.")
        if self.wording is not None:
            return Row(self.wording.whole(conversation))
        asked = "\n\n".join(message["content"] for message in conversation[:-1])
        found = self.tokenizer(asked, conversation[-1]["content"], split_special_tokens=True)
        return Row([int(token) for token in found["input_ids"]], list(found.get("token_type_ids") or ()))

    def _of(self, rows: Sequence[Row], beat: Beat | None = None) -> list[float]:
        tokens = [row.tokens for row in rows]
        self.refuse_too_long(tokens, extra=0)

        def ask(places: Sequence[int]) -> list[float]:
            some = [rows[place] for place in places]
            batch = self._ending_together(some) if self.reads_the_end else self._beginning_together(some)
            if batch is None:
                return [ask([place])[0] for place in places]
            found: list[float] = self.network(**batch).logits[:, 0].double().cpu().tolist()
            return found

        return self.in_batches(tokens, ask, beat)

    def _beginning_together(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask and, where the model knows two kinds of text, token_type_ids: (n_rows, longest)."""
        longest, filler = max(len(row.tokens) for row in rows), self.tokenizer.pad_token_id or 0
        columns = {
            "input_ids": [[*row.tokens, *[filler] * (longest - len(row.tokens))] for row in rows],
            "attention_mask": [[1] * len(row.tokens) + [0] * (longest - len(row.tokens)) for row in rows],
        }
        if any(row.kinds for row in rows):
            columns["token_type_ids"] = [[*row.kinds, *[0] * (longest - len(row.kinds))] for row in rows]
        return {name: torch.tensor(column, device=self.network.device) for name, column in columns.items()}

    def _ending_together(self, rows: Sequence[Row]) -> dict[str, torch.Tensor] | None:
        """`left_padded` with a token that no row has; None where there is none.

        A decoder looks for the last token that is no padding by its number. The token for padding is often that for the
        end, which a conversation ends with, so that the wrong token would be taken.
        """
        if len(rows) == 1:
            self.text_config.pad_token_id = None
            return left_padded([rows[0].tokens], device=self.network.device)
        used = set().union(*(row.tokens for row in rows))
        vocabulary = range(self.network.get_input_embeddings().num_embeddings)
        unused = next((token for token in vocabulary if token not in used), None)
        if unused is None:
            return None
        self.text_config.pad_token_id = unused
        return left_padded([row.tokens for row in rows], device=self.network.device, filler=unused)

    def check_itself(self) -> None:
        """Rows of unlike length asked together must give what each gives alone.

        Raises CannotLoad where they do not: better no rewards than wrong ones.
        """
        generator = torch.Generator().manual_seed(0)
        vocabulary = int(self.network.get_input_embeddings().num_embeddings)
        rows = [Row(torch.randint(vocabulary, (n,), generator=generator).tolist()) for n in (12, 5)]
        try:
            together, alone = self._of(rows), [self._of([row])[0] for row in rows]
        except CannotAnswer as error:
            raise CannotLoad(f"{self.model} is of a kind that cannot be run here: {error}") from error
        except Exception as error:
            raise CannotLoad(f"{self.model} is of a kind that cannot be run here: {one_line(error)}") from error
        if not all(map(math.isfinite, alone)):
            raise CannotLoad(f"{self.model} computes numbers that are not finite in {self.network.dtype}.")
        allowed = 1e-3 if self.network.dtype == torch.float32 else 0.1
        if any(abs(one - other) > allowed * max(1.0, abs(other)) for one, other in zip(together, alone, strict=True)):
            raise CannotLoad(f"{self.model} gives another reward in company than alone. It cannot be used here.")
