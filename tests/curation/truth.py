"""What the database says of a pair, in plain Python, and the whole rows that each layout owes it."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from typing import Any

from annotation.models import Edit, Judgement, Pair, Span
from curation.models import Release, Ruling

NAMES = {"user": "Human", "assistant": "Assistant", "system": "System"}
COUNTED = ("first", "second", "tie", "both_bad")
# By hand, for each edit of the tests: the segments of the old text and of the new one, each with its weight.
WEIGHED: dict[str, tuple[list[tuple[str, float]], list[tuple[str, float]]]] = {
    "Plain. And even more.": (
        [("Plain", 0), (".", 0), (" And", 0), (" more", 0), (".", 0)],
        [("Plain", 0), (".", 0), (" And", 0), (" even", 1), (" more", 0), (".", 0)],
    ),
    "Zwei Zeilen": ([("Zwei", 0), ("\nZeilen", -1)], [("Zwei", 0), (" Zeilen", 1)]),
    "日本語で。": (
        [*((one, 0.0) for one in "日本語で"), *((one, -1.0) for one in "答えます"), ("。", 0.0)],
        [(one, 0.0) for one in "日本語で。"],
    ),
    "🦊🦊.": ([("🦊", 0), ("🦊", 0)], [("🦊", 0), ("🦊", 0), (".", 1)]),
    "🦊🦊!": ([("🦊", 0), ("🦊", 0)], [("🦊", 0), ("🦊", 0), ("!", 1)]),
    "{{ y }} And more.": (
        [("{", 0), ("{", 0), (" x", -1), (" }", 0), ("}", 0), (" And", 0), (" more", 0), (".", 0)],
        [("{", 0), ("{", 0), (" y", 1), (" }", 0), ("}", 0), (" And", 0), (" more", 0), (".", 0)],
    ),
    "<i>": ([("<", 0), ("b", -1), (">", 0)], [("<", 0), ("i", 1), (">", 0)]),
}


def texts(candidate: Any) -> list[dict[str, str]]:
    return [{"role": one["role"], "content": one["content"]} for one in candidate.messages]


def as_text(messages: list[dict[str, str]]) -> str:
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{NAMES[one['role']]}: {one['content']}" for one in messages)


def dialogue(messages: list[dict[str, str]]) -> str:
    return "".join(f"\n\n{NAMES[one['role']]}: {one['content']}" for one in messages)


class Truth:
    """One pair as one release must tell it."""

    def __init__(self, pair: Pair, made: Release) -> None:
        self.pair, self.made = pair, made
        self.said = [
            (("first" if (one.strength or 0) > 0 else "second") if one.verdict == "prefer" else one.verdict, one)
            for one in Judgement.objects.filter(assignment__pair=pair, is_current=True).order_by("pk")
        ]
        counted = [verdict for verdict, _ in self.said if verdict != "skip"]
        self.counts = {name: counted.count(name) for name in COUNTED}
        self.n = len(counted)
        gives_way = made.rule in ("majority", "dawid_skene", "strength")
        ruling = Ruling.objects.filter(adjudication__pair=pair).order_by("-pk").first()
        self.ruling = ruling.outcome if ruling and gives_way else ""
        most = next((name for name in COUNTED if 2 * self.counts[name] > self.n), None)
        self.says = self.ruling or most
        self.winner = self.says if self.says in ("first", "second") else None
        strengths = [one.strength for _, one in self.said if one.strength is not None and one.strength_known]
        self.mean = sum(strengths) / len(strengths) if strengths else None
        system = [{"role": "system", "content": pair.prompt.system}] if pair.prompt.system else []
        self.prompt = [*system, *texts(pair.prompt)]
        self.first, self.second = texts(pair.first), texts(pair.second)
        is_first = self.winner == "first"
        self.chosen, self.rejected = (self.first, self.second) if is_first else (self.second, self.first)
        edits = Edit.objects.filter(judgement__assignment__pair=pair, judgement__is_current=True).order_by("pk")
        self.edits = [("first" if one.candidate_id == pair.first_id else "second", one) for one in edits]

    def shown(self, annotator: int) -> str:
        """The annotator's pseudonym in this release."""
        key = bytes.fromhex(self.made.salt)
        return f"annotator-{hmac.new(key, str(annotator).encode(), hashlib.sha256).hexdigest()[:12]}"

    def side(self, name: str) -> Any:
        return self.pair.first if name == "first" else self.pair.second

    @property
    def common(self) -> dict[str, Any]:
        given = [verdict for verdict, _ in self.said if verdict != "skip"]
        twos = [(one, other) for place, one in enumerate(given) for other in given[place + 1 :]]
        return {
            "pair_id": self.pair.pk,
            "external_id": self.pair.external_id,
            "source": self.pair.source,
            "language": self.pair.prompt.language,
            "tags": list(dict.fromkeys([*self.pair.tags, *self.pair.prompt.tags])),
            "n_judgements": self.n,
            **{f"n_{name}": self.counts[name] for name in COUNTED},
            "agreement": sum(one == other for one, other in twos) / len(twos) if twos else None,
            "adjudicated": bool(self.ruling),
        }

    @property
    def beside(self) -> dict[str, Any]:
        other = "second" if self.winner == "first" else "first"
        return {
            **self.common,
            "chosen_side": self.winner,
            "chosen_model": self.side(self.winner or "").model,
            "rejected_model": self.side(other).model,
            "strength_mean": self.towards,
        }

    @property
    def towards(self) -> float | None:
        if self.mean is None:
            return None
        return self.mean if self.winner == "first" else 0.0 - self.mean

    @property
    def reasons(self) -> list[str]:
        found = [one.rationales.first() for verdict, one in self.said if verdict == self.winner]
        return [one.text for one in found if one and one.text]

    @property
    def shares(self) -> tuple[float, float]:
        """What first and second won of all comparisons."""
        if self.ruling:
            return {"first": (1.0, 0.0), "second": (0.0, 1.0), "tie": (0.5, 0.5)}[self.ruling]
        half = self.counts["tie"] / 2
        return (self.counts["first"] + half) / self.n, (self.counts["second"] + half) / self.n


def with_end(messages: list[dict[str, str]], text: str) -> list[dict[str, str]]:
    return [*messages[:-1], {"role": messages[-1]["role"], "content": text}]


def steps_of(text: str) -> list[str]:
    """The steps of the short texts of these tests: their sentences and lines."""
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n", text) if part.strip()]


def stepwise(t: Truth) -> list[dict[str, Any]]:
    """Rows of steps, from the spans of each judgement, one by one."""
    rows = []
    for side in ("first", "second"):
        candidate = t.side(side)
        spans = Span.objects.filter(candidate=candidate, rationale__judgement__is_current=True)
        text = candidate.messages[0]["content"]
        if len(candidate.messages) > 1 or not spans:
            continue
        supports, hurts, at = [], [], 0
        for step in steps_of(text):
            start = text.index(step, at)
            at = start + len(step)
            touching = [one for one in spans if one.start < at and one.end > start]
            hurts.append(len({one.rationale.annotator_id for one in touching if one.polarity == "hurts"}))
            supports.append(len({one.rationale.annotator_id for one in touching if one.polarity == "supports"}))
        rows.append(
            {
                "prompt": as_text(t.prompt),
                "completions": steps_of(text),
                "labels": [against <= for_it for against, for_it in zip(hurts, supports, strict=True)],
                "step_supports": supports,
                "step_hurts": hurts,
                "n_markers": len({one.rationale.annotator_id for one in spans}),
                **t.common,
                "side": side,
                "model": candidate.model,
            }
        )
    return rows


def token_weights(t: Truth) -> list[dict[str, Any]]:
    rows = []
    for side, edit in t.edits:
        messages = texts(t.side(side))
        old, new = WEIGHED[edit.text]
        rows.append(
            {
                "prompt": [*t.prompt, *messages[:-1]],
                "initial": messages[-1]["content"],
                "revised": edit.text,
                "initial_segments": [segment for segment, _ in old],
                "initial_weights": [weight for _, weight in old],
                "revised_segments": [segment for segment, _ in new],
                "revised_weights": [weight for _, weight in new],
                "tokenizer": "words/1",
                "editor": t.shown(edit.judgement.annotator_id),
                **t.common,
                "side": side,
                "model": t.side(side).model,
            }
        )
    return rows


def listwise(t: Truth) -> list[dict[str, Any]]:
    answers = [
        # score, behind an edit of as good a score, number, messages, judgements
        *(
            (score, True, one.pk, texts(one), t.n)
            for score, one in zip(t.shares, (t.pair.first, t.pair.second), strict=True)
        ),
        *((1.0, False, t.side(side).pk, with_end(texts(t.side(side)), edit.text), 1) for side, edit in t.edits),
    ]
    answers.sort(key=lambda one: (-one[0], one[1], one[2]))
    models = {t.pair.first_id: t.pair.first.model, t.pair.second_id: t.pair.second.model}
    return [
        {
            "prompt": t.prompt,
            "completions": [one[3] for one in answers],
            "scores": [one[0] for one in answers],
            "rankings": [],
            "models": [models[one[2]] for one in answers],
            "n_judgements": [one[4] for one in answers],
            "pair_ids": [t.pair.pk],
            "adjudicated": [bool(t.ruling)],
            "edited": [not one[1] for one in answers],
            "language": t.pair.prompt.language,
        }
    ]


def helpsteer3(t: Truth) -> list[dict[str, Any]]:
    scores = [(one, -one.strength) for _, one in t.said if one.strength is not None]
    mean = sum(score for _, score in scores) / len(scores) if scores else 0.0
    rounded = int(math.copysign(math.floor(abs(mean) + 0.5), mean))
    overall = {"first": min(rounded, -1), "second": max(rounded, 1), "tie": 0}[t.says or ""]
    return [
        {
            "domain": t.common["tags"][0] if t.common["tags"] else "",
            "context": t.prompt,
            "response1": as_text(t.first),
            "response2": as_text(t.second),
            "overall_preference": overall,
            "individual_preference": [
                {
                    "score": score,
                    "reasoning": getattr(one.rationales.first(), "text", ""),
                    "feedback1": "",
                    "feedback2": "",
                }
                for one, score in scores
            ],
            **t.common,
        }
    ]


def kto(t: Truth) -> list[dict[str, Any]]:
    other = "second" if t.winner == "first" else "first"
    return [
        {
            "prompt": t.prompt,
            "completion": texts(t.side(side)),
            "label": side == t.winner,
            **t.common,
            "side": side,
            "model": t.side(side).model,
        }
        for side in (t.winner or "", other)
    ]


def ultrafeedback(t: Truth) -> list[dict[str, Any]]:
    asked = next(one["content"] for one in t.prompt if one["role"] == "user")
    first, second = t.shares
    return [
        {
            "prompt": asked,
            "prompt_id": hashlib.sha256(asked.encode()).hexdigest(),
            "chosen": t.prompt + t.chosen,
            "rejected": t.prompt + t.rejected,
            "messages": t.prompt + t.chosen,
            "score_chosen": first if t.winner == "first" else second,
            "score_rejected": second if t.winner == "first" else first,
            **t.beside,
        }
    ]


def votes(t: Truth) -> list[dict[str, Any]]:
    return [
        {
            "prompt": t.prompt,
            "first": t.first,
            "second": t.second,
            "annotator": t.shown(one.annotator_id),
            "kind": one.annotator.kind,
            "verdict": verdict,
            "strength": one.strength if one.strength_known else None,
            "reason": getattr(one.rationales.first(), "text", ""),
            "reason_tags": getattr(one.rationales.first(), "tags", []),
            "guideline": one.guideline.version if one.guideline else None,
            **t.common,
        }
        for verdict, one in t.said
    ]


def of_chosen(t: Truth) -> list[str]:
    return [edit.text for side, edit in t.edits if side == t.winner]


ROWS: dict[str, Any] = {
    "trl_dpo": lambda t: [{"prompt": t.prompt, "chosen": t.chosen, "rejected": t.rejected, **t.beside}],
    "trl_reward": lambda t: [
        {
            "chosen": t.prompt + t.chosen,
            "rejected": t.prompt + t.rejected,
            "margin": max(t.towards or 0.0, 0.0),
            **t.beside,
        }
    ],
    "trl_kto": kto,
    "listwise": listwise,
    "hh": lambda t: [
        {"chosen": dialogue(t.prompt + t.chosen), "rejected": dialogue(t.prompt + t.rejected), **t.beside}
    ],
    "ultrafeedback_binarized": ultrafeedback,
    "pku_saferlhf": lambda t: [
        {
            "prompt": as_text(t.prompt),
            "response_0": as_text(t.first),
            "response_1": as_text(t.second),
            "prompt_source": t.pair.source,
            "response_0_source": t.pair.first.model,
            "response_1_source": t.pair.second.model,
            "better_response_id": 0 if t.winner == "first" else 1,
            **t.beside,
        }
    ],
    "helpsteer3": helpsteer3,
    "rationale": lambda t: [
        {
            "prompt": as_text(t.prompt),
            "chosen": as_text(t.chosen),
            "rejected": as_text(t.rejected),
            "rationale": reason,
            **t.beside,
        }
        for reason in t.reasons[:1]
    ],
    "edited": lambda t: [
        {"prompt": t.prompt, "edited": with_end(t.chosen, text), "chosen": t.chosen, "rejected": t.rejected, **t.beside}
        for text in of_chosen(t)
    ],
    "aligner": lambda t: [
        {
            "question": as_text(t.prompt),
            "answer": as_text(t.chosen),
            "correction": as_text(with_end(t.chosen, text)),
            **t.beside,
        }
        for text in of_chosen(t)
    ],
    "votes": votes,
    "soft": lambda t: [
        {
            "prompt": t.prompt,
            "first": t.first,
            "second": t.second,
            **{f"p_{name}": t.counts[name] / t.n for name in COUNTED},
            "strength_mean": t.mean,
            **t.common,
        }
    ],
    "trl_stepwise": stepwise,
    "token_weights": token_weights,
}
