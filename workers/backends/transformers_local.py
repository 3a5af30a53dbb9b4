"""A model in this process, by transformers and torch: safetensors only, no code of the model's own, nothing unpinned.

One device per worker process; more devices, more workers (CUDA_VISIBLE_DEVICES says which). bfloat16 on CUDA, float32
on a CPU unless told otherwise. Rows of a batch are of like length and padded on the left, so that all of them end in
the same column and only the last logits need be computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from workers.backends.batching import ROWS, Batched, TooLittleMemory
from workers.backends.decoding import Decoder, Drawing, is_out_of_memory
from workers.backends.locating import SAFE, be_quiet, device_of, home_of, numbers_of, one_line, refuse_missing
from workers.backends.primitives import (
    Beat,
    CannotAnswer,
    CannotLoad,
    Checkpoint,
    Choice,
    Floats32,
    Generated,
    LogitsProcessor,
    Message,
    Partial,
    Sampling,
    Scored,
    Top,
    generated,
)
from workers.backends.slots import Slots, left_padded, step_mask
from workers.backends.wording import Wording

KIND = "transformers_local"

# A shared beginning shorter than this is not worth a pass of its own.
WORTH_SHARING = 16


def load(*, name: str, revision: str, folder: str, digest: str, device: str, dtype: str) -> Local:
    """Check, then load. Raises CannotLoad with a sentence. See `workers.backends.load_backend`."""
    home, revision, digest = home_of(name=name, revision=revision, folder=folder, digest=digest)
    where = device_of(device)
    number = numbers_of(dtype, where)
    be_quiet()
    try:
        config = AutoConfig.from_pretrained(home, **SAFE)
        tokenizer = AutoTokenizer.from_pretrained(home, padding_side="left", **SAFE)
        model, report = AutoModelForCausalLM.from_pretrained(
            home,
            config=config,
            dtype=number,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **SAFE,
        )
        model = model.to(where).eval()
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


class _Prefix(DynamicLayer):
    """Keys and values of a beginning that every row of a batch shares: read by all, stored once, never added to."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        rows = len(key_states)
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )


class Local(Batched):
    """The three primitives by a transformers model. See `workers.backends.Backend` for the contract."""

    kind = KIND

    def __init__(self, *, name: str, revision: str, model: Any, tokenizer: Any, digest: str = "") -> None:
        super().__init__(model=name, network=model)
        self.revision, self.digest = revision, digest
        self.wording = Wording(tokenizer)
        self.is_toy = bool(getattr(model.config, "is_toy", False))
        said = model.generation_config.eos_token_id
        ends = said if isinstance(said, list) else [said]
        self.ends = frozenset(int(end) for end in [*ends, tokenizer.eos_token_id] if end is not None)
        self.decoder = Decoder(model, rows=ROWS, prefill_tokens=self.tokens, ends=self.ends)

    # ---- score -----------------------------------------------------------------------------------------------------

    def score(
        self, items: Sequence[tuple[Sequence[Message], str]], *, top_k: int = 0, beat: Beat | None = None
    ) -> list[Scored]:
        self._refuse_top(top_k)
        prompts = [self.wording.prompt(conversation) for conversation, _ in items]
        completions = [self.wording.plain(completion) for _, completion in items]
        rows = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
        self.refuse_too_long(rows, extra=0)

        def ask(places: Sequence[int]) -> list[Scored]:
            keep = 1 + max(len(completions[place]) for place in places)
            batch = left_padded([rows[place] for place in places], device=self.network.device)
            logits = self.network(**batch, use_cache=False, logits_to_keep=keep).logits
            return [
                _scored(logits[row], completions[place], top_k=top_k, device=self.network.device)
                for row, place in enumerate(places)
            ]

        return self.in_batches(rows, ask, beat)

    def _refuse_top(self, top_k: int) -> None:
        if top_k < 0:
            raise ValueError(f"score: top_k is {top_k}. Give 0 or more.")
        vocabulary = self.network.config.get_text_config().vocab_size
        if top_k > vocabulary:
            raise CannotAnswer(f"{self.model} has {vocabulary:,} tokens. Ask for at most so many of the most probable.")

    # ---- embed -----------------------------------------------------------------------------------------------------

    def mean_states(self, rows: Sequence[Sequence[int]], *, beat: Beat | None = None) -> Floats32:
        """The mean of the last hidden states of each row of tokens, (n_rows, hidden size); no row is empty."""
        self.refuse_too_long(rows, extra=0)

        def ask(places: Sequence[int]) -> list[Floats32]:
            batch = left_padded([rows[place] for place in places], device=self.network.device)
            states = self.network.base_model(**batch, use_cache=False).last_hidden_state.float()
            there = batch["attention_mask"][:, :, None]
            found: Floats32 = ((states * there).sum(dim=1) / there.sum(dim=1)).cpu().numpy()
            return list(found)

        found = self.in_batches(rows, ask, beat)
        return np.stack(found)

    # ---- choose ----------------------------------------------------------------------------------------------------

    def choose(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        tokens = self.wording.options(options)
        rows = [self.wording.prompt(conversation) for conversation in items]
        self.refuse_too_long(rows, extra=1)
        return self._choose(rows, tokens, beat)

    def choose_after_prefix(
        self, items: Sequence[Sequence[Message]], *, options: Sequence[str], beat: Beat | None = None
    ) -> list[Choice]:
        tokens = self.wording.options(options)
        rows = [self.wording.prompt(conversation) for conversation in items]
        self.refuse_too_long(rows, extra=1)
        shared = common_beginning(rows)
        if len(rows) < 2 or shared < WORTH_SHARING:
            return self._choose(rows, tokens, beat)
        try:
            return self._choose_after(rows, shared, tokens, beat)
        except TooLittleMemory:
            pass  # The beginning is kept for every layer. Whole rows keep nothing, so that more of them may fit.
        return self._choose(rows, tokens, beat)

    def _choose_after(
        self, rows: Sequence[Sequence[int]], shared: int, tokens: Sequence[Sequence[int]], beat: Beat | None
    ) -> list[Choice]:
        """`_choose`, with the first `shared` tokens, which all rows begin with, read once."""

        def read(_: Sequence[int]) -> list[DynamicCache]:
            cache = DynamicCache()
            head = torch.tensor([rows[0][:shared]], device=self.network.device)
            self.network(input_ids=head, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return [cache]

        [cache] = self.in_batches([rows[0][:shared]], read, beat)
        layers = [_Prefix(layer.keys, layer.values) for layer in cache.layers]
        return self._choose([row[shared:] for row in rows], tokens, beat, after=layers, shared=shared)

    def _choose(
        self,
        rows: Sequence[Sequence[int]],
        tokens: Sequence[Sequence[int]],
        beat: Beat | None,
        *,
        after: Sequence[_Prefix] = (),
        shared: int = 0,
    ) -> list[Choice]:
        def ask(places: Sequence[int]) -> list[Choice]:
            batch: dict[str, Any] = left_padded([rows[place] for place in places], device=self.network.device)
            if after:
                batch["attention_mask"] = self._mask_after(shared, batch["attention_mask"])
                batch["position_ids"] = batch["position_ids"] + shared
                batch["past_key_values"] = Cache(layers=list(after))
            logits = self.network(**batch, use_cache=bool(after), logits_to_keep=1).logits[:, -1].float()
            probabilities = torch.softmax(logits, dim=-1)
            told = (
                torch.stack([probabilities[:, list(ids)].sum(dim=-1) for ids in tokens], dim=1).double().cpu().numpy()
            )
            return [Choice(row.copy()) for row in told]

        return self.in_batches(rows, ask, beat, shared=shared)

    def _mask_after(self, shared: int, own: torch.Tensor) -> torch.Tensor:
        """What each row may see after a shared beginning; own (n_rows, width) is 1 where a row has tokens.

        Where every layer sees everything before it, the mask is made once, as the numbers that attention adds; each
        layer would else turn it into them again. Other kinds of attention make theirs from (n_rows, shared + width).
        """
        config = self.network.config.get_text_config()
        seen = own.new_ones(len(own), shared)
        kinds = set(getattr(config, "layer_types", None) or [])
        if getattr(config, "sliding_window", None) or not kinds <= {"full_attention"}:
            return torch.cat([seen, own], dim=1)
        width = own.shape[1]
        before = torch.ones(width, width, dtype=torch.bool, device=own.device).tril()
        may = torch.cat([seen.bool()[:, None].expand(-1, width, -1), before & own.bool()[:, None]], dim=-1)
        hidden = torch.finfo(self.network.dtype).min
        return torch.zeros(may.shape, dtype=self.network.dtype, device=own.device).masked_fill(~may, hidden)[:, None]

    # ---- generate --------------------------------------------------------------------------------------------------

    def generate(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        prefix: Sequence[str] | None = None,
        logits_processor: Sequence[LogitsProcessor] | None = None,
        checkpoint: Checkpoint | None = None,
        beat: Beat | None = None,
    ) -> Iterator[tuple[int, Generated]]:
        prefixes = list(prefix) if prefix is not None else [""] * len(conversations)
        processors = list(logits_processor) if logits_processor is not None else [None] * len(conversations)
        if not len(conversations) == len(seeds) == len(prefixes) == len(processors):
            raise ValueError(
                "generate: give one seed, and one prefix and one logits processor if any, per conversation."
            )
        prompts = [
            self.wording.prompt(conversation, prefix=begun)
            for conversation, begun in zip(conversations, prefixes, strict=True)
        ]
        self.refuse_too_long(prompts, extra=1)
        drawings = [
            Drawing(place, prompt, seed, room=min(sampling.max_tokens, self.longest - len(prompt)), processor=processor)
            for place, (prompt, seed, processor) in enumerate(zip(prompts, seeds, processors, strict=True))
        ]
        # A stop text of n characters is at most so many tokens; only the last of them need be looked at.
        look_back = 4 + 4 * max(map(len, sampling.stop), default=0)

        def stopped(tokens: Sequence[int]) -> bool:
            tail = self.wording.text(tokens[-look_back:]) if sampling.stop else ""
            return any(stop in tail for stop in sampling.stop)

        def text_of(drawing: Drawing) -> str:
            text = self.wording.text(drawing.tokens, after=prefixes[drawing.place])
            return text[: min((text.index(stop) for stop in sampling.stop if stop in text), default=len(text))]

        # What is done, while a checkpoint may still drop it.
        pool: dict[int, Drawing] = {}

        def choose(held: Sequence[Drawing]) -> Collection[int]:
            assert checkpoint is not None
            there = {drawing.place: drawing for drawing in (*held, *pool.values())}
            kept = _kept(checkpoint, [_partial(there[place], text_of(there[place])) for place in sorted(there)])
            for place in there.keys() - kept:
                if not pool.pop(place, None):
                    self.spent += there[place].read + len(there[place].tokens)
            return kept

        for drawing in self.decoder.run(
            drawings,
            sampling=sampling,
            stopped=stopped,
            beat=beat or _nothing,
            choose=choose if checkpoint else None,
            every=checkpoint.every if checkpoint else 0,
        ):
            self.spent += drawing.read + len(drawing.tokens)
            if checkpoint:
                pool[drawing.place] = drawing
            else:
                yield drawing.place, _generated(drawing, text_of(drawing))
        for drawing in pool.values():
            yield drawing.place, _generated(drawing, text_of(drawing))

    def check_itself(self) -> None:
        """Generation in slots must give what one plain pass gives, for this model's kind of attention.

        Raises CannotLoad where it does not: better no candidates than wrong ones.
        """
        generator = torch.Generator().manual_seed(0)
        vocabulary = int(self.network.get_input_embeddings().num_embeddings)
        rows = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in (12, 5)]
        device = self.network.device
        try:
            with torch.inference_mode():
                plain = [self.network(torch.tensor([row], device=device)).logits[0, -1].float() for row in rows]
                slots = Slots(capacity=2, device=device)
                cache = DynamicCache()
                self.network(**left_padded([row[:-1] for row in rows], device=device), past_key_values=cache)
                slots.put(cache, [len(row) - 1 for row in rows])
                slots.step()
                stepped = self.network(
                    input_ids=torch.tensor([[row[-1]] for row in rows], device=device),
                    position_ids=slots.at[:, None],
                    attention_mask=step_mask(self.network.config.get_text_config(), slots),
                    past_key_values=slots.cache,
                    use_cache=True,
                ).logits[:, -1]
        except Exception as error:
            raise CannotLoad(f"{self.model} is of a kind that cannot be run here: {one_line(error)}") from error
        whole = torch.stack(plain)
        if not bool(torch.isfinite(whole).all()):
            raise CannotLoad(f"{self.model} computes numbers that are not finite in {self.network.dtype}.")
        allowed = 1e-3 if self.network.dtype == torch.float32 else 0.1
        off = float((stepped.float() - whole).abs().mean() / whole.std().clamp(min=1e-6))
        if off > allowed:
            raise CannotLoad(
                f"{self.model} remembers what it read in a way that is not supported here. Serve it behind an endpoint "
                "(vLLM, TGI, llama.cpp) and register that."
            )


def common_beginning(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with, leaving each at least one of its own."""
    if not rows:
        return 0
    ordered = sorted(list(row) for row in rows)  # Of sorted rows the first and the last differ soonest.
    first, last = ordered[0], ordered[-1]
    most = min(map(len, rows)) - 1
    return next((at for at in range(most) if first[at] != last[at]), max(most, 0))


def _scored(logits: torch.Tensor, completion: Sequence[int], *, top_k: int, device: torch.device) -> Scored:
    """logits (n_kept, vocabulary), of which the last n_tokens + 1 belong to this completion."""
    if not completion:
        none = Top(np.empty((0, top_k), dtype=np.int64), np.empty((0, top_k))) if top_k else None
        return Scored((), np.empty(0), np.empty(0), none)
    logs = torch.log_softmax(logits[-len(completion) - 1 : -1].float(), dim=-1)
    drawn = logs.gather(1, torch.tensor(completion, device=device)[:, None])[:, 0]
    entropies = torch.special.entr(logs.exp()).sum(dim=-1)
    top = None
    if top_k:
        values, ids = logs.topk(top_k, dim=-1)
        top = Top(ids.cpu().numpy(), values.double().cpu().numpy())
    return Scored(tuple(completion), drawn.double().cpu().numpy(), entropies.double().cpu().numpy(), top)


def _generated(drawing: Drawing, text: str) -> Generated:
    return generated(
        text=text,
        token_count=len(drawing.tokens),
        log_probabilities=drawing.log_probabilities,
        entropies=drawing.entropies,
        truncated=drawing.truncated,
        finish=drawing.finish or "stop",
    )


def _partial(drawing: Drawing, text: str) -> Partial:
    """A character of which only some bytes are written is not there yet."""
    done = bool(drawing.finish)
    return Partial(drawing.place, text if done else text.rstrip("\ufffd"), len(drawing.tokens), done)


def _kept(checkpoint: Checkpoint, partials: Sequence[Partial]) -> set[int]:
    kept = set(checkpoint.keep(partials))
    if unknown := kept - {partial.place for partial in partials}:
        raise ValueError(f"The checkpoint keeps {min(unknown)}, which is not there. Keep places that it was given.")
    return kept


def _nothing() -> None:
    return None
