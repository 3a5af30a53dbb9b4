"""The six strategies of PopAlign: contrast by prompt, by model, by pipeline. Each makes pairs with a built-in label.

Source: Wang et al., PopAlign: Diversifying Contrasting Patterns for a More Comprehensive Alignment, arXiv 2410.13785.
The wording of the templates is ours: the authors' was not at hand. Both sides of a pair share the prompt to the letter.
"""

from __future__ import annotations

from collections.abc import Iterator

from annotation.generating import GenerationPlan
from workers.strategies import examples
from workers.strategies.requests import BETTER, WORSE, Asked, Request, Strategy, assistant, seed_of, user

PREFIXES = {BETTER: "(helpful, harmless) ", WORSE: "(unhelpful, harmful) "}

THINK = {
    BETTER: (
        "Below is a request. Do not answer it yet. First think about how an excellent answer to it would be written: "
        "what it must get right, what it says, how it is put. Write down these thoughts only.\n\nRequest:\n"
    ),
    WORSE: (
        "Below is a request. Do not answer it yet. First think about how a poor answer to it would be written: what it "
        "gets wrong, what it leaves out, how it is put badly. Write down these thoughts only.\n\nRequest:\n"
    ),
}
WRITE = "Now write the answer that you have thought of. Write the answer only, and do not mention your thoughts."
IMPROVE = (
    "Improve your answer: correct what is wrong, add what is missing, leave out what does not help, and say it more "
    "clearly. Write the improved answer only."
)


def _sides(prompt: Asked, plan: GenerationPlan, seed: int) -> Iterator[tuple[int, str, int, int]]:
    """Every place with its polarity, model and seed: better, worse, better, worse, ..., model by model."""
    for place in range(2 * plan.n * len(plan.models)):
        polarity = BETTER if place % 2 == 0 else WORSE
        yield place, polarity, place // (2 * plan.n), seed_of(seed, prompt.id, place)


class Prefix(Strategy):
    """M(p+ q) against M(p- q)."""

    name = "prefix"
    version = "prefix-1"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        return [
            Request(place, polarity, model, drawn, prompt.reworded(PREFIXES[polarity]))
            for place, polarity, model, drawn in _sides(prompt, plan, seed)
        ]


class Demon(Strategy):
    """A few good examples before the prompt, against a few bad ones."""

    name = "demon"
    version = f"demon-1+{examples.VERSION}"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        turns = {
            BETTER: [turn for one in examples.EXAMPLES for turn in (user(one.question), assistant(one.good))],
            WORSE: [turn for one in examples.EXAMPLES for turn in (user(one.question), assistant(one.bad))],
        }
        return [
            Request(place, polarity, model, drawn, prompt.after(turns[polarity]))
            for place, polarity, model, drawn in _sides(prompt, plan, seed)
        ]


class Elicitive(Strategy):
    """(t+, r+) = M(T+(q)), (t-, r-) = M(T-(q)): first a thought on how to write it, then the answer."""

    name = "elicitive"
    version = "elicitive-1"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        found: list[Request] = []
        for place, polarity, model, drawn in _sides(prompt, plan, seed):
            asked = prompt.reworded(THINK[polarity])
            # Thoughts take their seeds beyond the candidates' places.
            thinking = seed_of(seed, prompt.id, plan.per_prompt_count + place)
            found.append(Request(None, polarity, model, thinking, asked))
            found.append(Request(place, polarity, model, drawn, asked, after=len(found) - 1, closing=(user(WRITE),)))
        return found


class TwoSided(Strategy):
    """The first model against the second, each with the prompt as it is."""

    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        return [
            Request(place, (BETTER, WORSE)[place % 2], place % 2, seed_of(seed, prompt.id, place), prompt.conversation)
            for place in range(2 * plan.n)
        ]


class Refine(Strategy):
    """r- = M(q); r+ = M(q, r-, "improve")."""

    name = "refine"
    version = "refine-1"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        found: list[Request] = []
        for place, polarity, model, drawn in _sides(prompt, plan, seed):
            if polarity == BETTER:
                # The improved answer comes after the plain one, which stands behind it in the list of places.
                continue
            found.append(Request(place, WORSE, model, drawn, prompt.conversation))
            improving = seed_of(seed, prompt.id, place - 1)
            found.append(
                Request(
                    place - 1,
                    BETTER,
                    model,
                    improving,
                    prompt.conversation,
                    after=len(found) - 1,
                    closing=(user(IMPROVE),),
                )
            )
        return found
