"""A run that measures difficulty: an adapter for every seed and half, and the losses of the half it never saw.

Each training is recorded with all of its losses in one transaction, so that a run which goes on after a crash or a
cancel trains again what had not ended and nothing else. Where people have judged meanwhile, the data is another one:
its trainings begin again, and the old ones stay as they are.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.running import Hold
from curation.measuring import difficulty
from curation.measuring.difficulty import DifficultyRequest
from curation.measuring.preferred import Preferred, halves_of, preferred_pairs
from workers.backends.primitives import CannotAnswer
from workers.opening import open_model
from workers.pacing import Pace
from workers.preferring import Open, conversation, opened, sides, text

if TYPE_CHECKING:
    from workers.backends.transformers_local import Local
    from workers.preference_training import Tokens

# Of what a pair may have, the prompt has at most this share; its beginning is cut off, as in the paper's recipe.
PROMPT_SHARE = 0.5
THE_SAME = "unreadable or the same for this model"


def execute(hold: Hold, *, open_model: Open = open_model) -> dict[str, Any]:
    """Do a run of the measure "difficulty" and return its result. Run twice, it trains only what is missing.

    Raises:
        Refused: its parameters are not possible, the model cannot be trained here, or there are too few pairs.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    if run.project is None:
        raise Refused(f"{run} does not say what to measure of which project.")
    asked = DifficultyRequest.from_parameters(run.parameters)
    chosen = preferred_pairs(project=run.project, asked=asked)
    hold.say(f"Loading {asked.model}.")
    backend = opened(asked, open_model)
    if backend.kind != "transformers_local":
        raise Refused(f"{asked.model} is asked over an endpoint. Only a model that a worker loads itself is trained.")
    tokens, chosen, cut = _tokens(hold, backend, chosen, asked)  # type: ignore[arg-type]
    try:
        return _train(hold, asked, backend, chosen, tokens) | {"cut": cut}  # type: ignore[arg-type]
    except CannotAnswer as error:
        raise Refused(str(error)) from error


def _train(
    hold: Hold, asked: DifficultyRequest, backend: Local, chosen: Preferred, tokens: list[Tokens]
) -> dict[str, Any]:
    from workers.preference_training import Recipe, Trainer

    digest = chosen.digest(backend.revision)
    dealt = {seed: halves_of(chosen.prompt, seed=seed, halves=asked.halves) for seed in asked.seed_list}
    # As many steps in every training, so that a checkpoint is the same everywhere.
    fewest = min(int((half != number).sum()) for half in dealt.values() for number in range(asked.halves))
    steps = asked.steps(fewest)
    done = difficulty.finished(run=hold.run, digest=digest)
    wanted = [(seed, half) for seed in asked.seed_list for half in range(asked.halves) if (seed, half) not in done]
    one_training = steps[-1] * asked.batch
    each = {place: one_training + asked.checkpoints * int((dealt[place[0]] == place[1]).sum()) for place in wanted}
    total = sum(
        one_training + asked.checkpoints * int((dealt[seed] == half).sum())
        for seed in asked.seed_list
        for half in range(asked.halves)
    )
    pace = Pace(hold, done=total - sum(each.values()), total=total)
    if done:
        hold.say(f"{len(done)} of {len(dealt) * asked.halves} trainings are here already.")
    if wanted:
        hold.say(f"{len(chosen):,} pairs, {steps[-1]} steps of {asked.batch} pairs a training.")

        def beat() -> None:
            hold.check()
            pace()

        def passed(number: int) -> None:
            pace.done += number
            pace()

        trainer = Trainer(backend.network, tokens, beat=beat)
        recipe = Recipe(asked.beta, asked.learning_rate, asked.batch, rank=asked.rank, scale=asked.rank)
        for seed, half in wanted:
            began = time.monotonic()
            train, held_out = _places(dealt[seed] != half), _places(dealt[seed] == half)
            losses = trainer.held_out_losses(
                train=train,
                held_out=held_out,
                steps=steps,
                recipe=recipe,
                seed=seed * asked.halves + half,
                passed=passed,
            )
            difficulty.record_training(
                hold=hold,
                asked=asked,
                revision=backend.revision,
                digest=digest,
                seed=seed,
                half=half,
                trained_on=len(train),
                steps=steps,
                seconds=time.monotonic() - began,
                pairs=chosen.pair[held_out],
                losses=losses,
            )
            hold.say(f"Seed {seed}, half {half + 1} of {asked.halves}: mean loss {losses.mean():.4f}.")
    return difficulty.store(hold, asked, chosen, revision=backend.revision, steps=steps)


def _places(which: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(which).astype(np.int64)


def _tokens(
    hold: Hold, backend: Local, chosen: Preferred, asked: DifficultyRequest
) -> tuple[list[Tokens], Preferred, int]:
    """The pairs as the model reads them, those that it can read, and how many were cut to `max_length`.

    Raises:
        Refused: it can read none.
    """
    from workers.preference_training import Tokens

    longest = min(asked.max_length, backend.longest)
    most = int(longest * PROMPT_SHARE)
    end = backend.wording.tokenizer.eos_token_id
    ending = [] if end is None else [int(end)]
    found: list[Tokens] = []
    keep = np.zeros(len(chosen), dtype=bool)
    cut = 0
    for place, (pair, is_first) in enumerate(chosen.rows()):
        hold.check()
        try:
            prompt = backend.wording.prompt(conversation(pair))
        except CannotAnswer:
            continue
        better, worse = (backend.wording.plain(text(one)) + ending for one in sides(pair, is_first))
        is_cut = len(prompt) + max(len(better), len(worse)) > longest
        if is_cut:
            prompt = prompt[-most:]
            better, worse = (side[: longest - len(prompt)] for side in (better, worse))
        if not better or not worse or better == worse:
            continue
        found.append(Tokens(prompt, better, worse))
        keep[place], cut = True, cut + is_cut
    if not found:
        raise Refused(f"{asked.model} can read none of the {len(chosen):,} pairs, or sees no difference in any.")
    return found, chosen.only(keep, why=THE_SAME), cut
