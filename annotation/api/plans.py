"""What a run can be told, for the schema of the API. What is possible GenerationPlan and JudgingPlan decide."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from annotation.asking import ABOUT, ASKS
from annotation.generating import PAIRING_TITLES, SCORERS, STRATEGIES


def _text(says: str) -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, help_text=says)


def _one_of(known: dict[str, Any], says: str) -> serializers.CharField:
    return _text(f"{says} One of {', '.join(known)}.")


def _texts(says: str, *, required: bool = False) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(), required=required, help_text=says)


def _keys(says: str) -> serializers.ListField:
    return serializers.ListField(child=serializers.IntegerField(), required=False, help_text=says)


def _whole(says: str, low: int, high: int | None = None, *, or_nothing: bool = False) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=low, max_value=high, required=False, allow_null=or_nothing, help_text=says
    )


def _number(says: str, low: float, high: float) -> serializers.FloatField:
    return serializers.FloatField(min_value=low, max_value=high, required=False, help_text=says)


def _truth(says: str) -> serializers.BooleanField:
    return serializers.BooleanField(required=False, help_text=says)


class GenerationParameters(serializers.Serializer[Any]):
    models = _texts("Names of the register. Where one is set against another, the better one first.", required=True)
    strategy = _one_of(STRATEGIES, "How candidates are asked for.")
    n = _whole("Candidates per prompt and model; of each polarity, where there are two.", 1, 64)
    temperature = _number("0: always the likeliest token.", 0, 5)
    top_p = _number("1: all tokens.", 0.01, 1)
    top_k = _whole("0: all tokens.", 0, 1_000_000)
    min_p = _number("0: all tokens.", 0, 1)
    max_tokens = _whole("Of a candidate.", 1, 32_768)
    stop = _texts("A candidate ends before the first of these, at most 16.")
    prompts = _keys("Only these prompts; empty: all that the other conditions let through.")
    selection = _text("Only prompts of the pairs in this saved selection, as name or name@version; without `prompts`.")
    tag = _text("Only prompts with this tag.")
    source = _text("Only prompts of this source.")  # type: ignore[assignment]
    up_to = _whole("Only prompts up to this number. Set by the request.", 1, or_nothing=True)
    limit = _whole("At most so many prompts, the oldest first.", 1, 10_000_000, or_nothing=True)
    pairing = _one_of(PAIRING_TITLES, "How candidates are paired; empty: as the strategy does.")
    per_prompt = _whole("Pairs that the pairing `sampled` draws per prompt.", 1, 1000)
    near = _number("From this Jaccard similarity of word triples on, two candidates are not paired.", 0.1, 1)
    scorer = _one_of(SCORERS, "What scores, for the strategies that do.")
    scorer_model = _text("The model that scores; empty: the one that generates.")
    values = _text("For `janus`: a list of values of the project, by its name or by name and number.")
    only_pair = _truth("Set by a retry.")


class JudgingParameters(serializers.Serializer[Any]):
    model = serializers.CharField(help_text="A name of the register.")
    template = _text("A judge template, by its name or by name and number.")
    asks = _texts(f"What the judge is asked: of {', '.join(ASKS)}. Without it all but rationales.")
    principles = _keys("Numbers of the project's principles; empty: those of the guideline in force.")
    tag = _text("Only pairs with this tag.")
    source = _text("Only pairs of this source.")  # type: ignore[assignment]
    generation = _whole("Only pairs that this run generated.", 1, or_nothing=True)
    judged_only = _truth("Only pairs that people have judged.")
    up_to = _whole("Only pairs up to this number. Set by the request.", 1, or_nothing=True)
    limit = _whole("At most so many pairs, along the queue.", 1, 10_000_000, or_nothing=True)
    injection_limit = _whole("So many pairs are tried with hidden commands.", 1, 100_000)
    rationales = _texts("Rationale templates, named as `template` is; empty: the one that fits `about`.")
    about = _one_of(ABOUT, "Whose verdict the rationales explain.")
    max_tokens = _whole("Of a rationale.", 1, 8192)
    temperature = _number("Of rationales; verdicts are never sampled.", 0, 5)


class GenerationInput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["generation"])
    parameters = GenerationParameters(help_text="What is missing has its default.")
    seed = serializers.IntegerField(min_value=0, max_value=2**62, default=0)


class JudgingInput(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["judging"])
    parameters = JudgingParameters(help_text="What is missing has its default.")
    seed = serializers.IntegerField(min_value=0, max_value=2**62, default=0)


ANY_PLAN = PolymorphicProxySerializer(
    component_name="RunPlan",
    serializers={"generation": GenerationInput, "judging": JudgingInput},
    resource_type_field_name="kind",
)
