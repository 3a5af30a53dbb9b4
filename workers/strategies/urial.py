"""URIAL: base models answer after a preamble and three examples in a fixed form.

Source: Lin et al., The Unlocking Spell on Base LLMs, arXiv 2312.01552. The form (headings, fences) is theirs; the
preamble and the examples are ours.
"""

from __future__ import annotations

from annotation.generating import GenerationPlan
from workers.backends.primitives import TEXT
from workers.strategies import examples
from workers.strategies.requests import Asked, Request, Strategy, seed_of

PREAMBLE = (
    "# Instruction\n\nBelow are conversations between a person and an AI assistant. What the person asks stands under "
    '"# Query:", and what the assistant answers under "# Answer:". The assistant is helpful, honest and respectful. It '
    "answers as fully as the question needs, says so when it does not know, and does not help with what would harm "
    "people.\n\n"
)
FENCE = "```"
STOP = "# Query:"


def _turn(heading: str, text: str) -> str:
    return f"# {heading}:\n{FENCE}\n{text}\n{FENCE}\n\n"


class Urial(Strategy):
    name = "urial"
    version = f"urial-1+{examples.VERSION}"

    def requests(self, prompt: Asked, plan: GenerationPlan, *, seed: int) -> list[Request]:
        text = self.text(prompt)
        return [
            Request(
                place,
                "",
                place // plan.n,
                seed_of(seed, prompt.id, place),
                ({"role": TEXT, "content": text},),
                stop=(STOP,),
            )
            for place in range(plan.n * len(plan.models))
        ]

    def text(self, prompt: Asked) -> str:
        """What the model continues: everything up to where the answer begins."""
        shown = "".join(_turn("Query", one.question) + _turn("Answer", one.good) for one in examples.EXAMPLES)
        system = f"{prompt.system}\n\n" if prompt.system else ""
        turns = "".join(
            _turn("Answer" if one["role"] == "assistant" else "Query", one["content"]) for one in prompt.messages
        )
        return f"{PREAMBLE}{system}{shown}{turns}# Answer:\n{FENCE}\n"

    def tidied(self, text: str) -> str:
        """Without the fence that closes the answer. An answer may hold fences of its own: only the last one goes."""
        text = text.rstrip()
        return text.removesuffix(FENCE).rstrip() if text.count(FENCE) % 2 else text
