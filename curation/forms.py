"""What the release page asks: it reads and checks what was entered; the verbs decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms

from annotation.errors import Refused
from annotation.forms import Described
from annotation.models import Project
from curation.criteria import LONGEST_LIST, Criterion, parse, parse_all
from curation.cutting import Cut, cuts_of
from curation.deciding import RULES, TIES
from curation.export.files import digest_of
from curation.export.layouts import LAYOUTS
from curation.keeping import criteria_in
from curation.measuring import RepresentativenessRequest
from curation.models import Release, Selection
from curation.planning import ANNOTATORS, DIFFICULTY, HARDER, MOST_HARMFUL, Impossible, plan
from curation.subsetting import NGRAMS, embedded_models
from curation.thinning import models_measured

# What a draft without a name is planned under.
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Capacity:
    """How large a share of the easiest pairs did best for models of a size, in percent."""

    title: str
    percent: int
    sub: str


# Selective DPO (Gao et al. 2025): the best share grows with the model.
CAPACITIES = (
    Capacity("About 3B", 64, "keep the easier 64 %"),
    Capacity("About 7B", 73, "keep 73 %, between the two published"),
    Capacity("About 14B", 81, "keep 81 %"),
)


@dataclass(frozen=True)
class Explained:
    """A choice, and what it means."""

    title: str
    sub: str


RULE_TITLES = {
    "majority": Explained("Majority", "More than half of the judgements; simple to explain."),
    "dawid_skene": Explained("Weighted by reliability", "Dawid and Skene: learns how each annotator errs."),
    "strength": Explained("Mean strength", "Where the known strengths point on average."),
    "label": Explained("The source's label", "What the pair came with. No judgement is needed."),
    "soft": Explained("Keep the distribution", "Shares instead of a label; TRL reads no shares."),
    "votes": Explained("Every vote", "Nothing is decided, skips are there too."),
}
TIES_TITLES = {
    "": Explained("As the rule has it", "Dropped where an answer is chosen, kept elsewhere."),
    "drop": Explained("Leave out", "A trainer that needs a chosen answer has no tie."),
    "keep": Explained("Keep", "In layouts that need no chosen answer."),
    "both": Explained("In both orders", "Two rows for each tie: trl_dpo and trl_reward."),
}
ANNOTATOR_TITLES = {"people": "People", "judges": "Judges (models)", "all": "People and judges"}


def _choices(names: Sequence[str], titles: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, titles[name]) for name in names]


class DraftForm(Described):
    """A release that is being thought of. Every field has a value to begin with, so that an address may name a few."""

    capacities = CAPACITIES
    # Why what it asks for was not counted; empty where it was, or where something is wrong with it.
    too_long = ""
    saved_criteria: Sequence[Criterion] = ()

    selection = forms.ChoiceField(label="Saved selection", required=False)
    where = forms.CharField(
        label="Criteria",
        required=False,
        max_length=4 * LONGEST_LIST,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One a line, as agreement>=0.66 or tag=code. All must hold.",
    )
    annotators = forms.ChoiceField(
        label="Judgements of", choices=_choices(list(ANNOTATORS), ANNOTATOR_TITLES), initial="people"
    )
    rule = forms.ChoiceField(choices=_choices(list(RULES), RULE_TITLES), initial="majority")
    ties = forms.ChoiceField(choices=_choices(["", *TIES], TIES_TITLES), required=False)
    judgements = forms.IntegerField(label="Judgements at least", min_value=0, max_value=1000, initial=0, required=False)
    agreement = forms.FloatField(label="Agreement at least", min_value=0, max_value=1, initial=0, required=False)
    strength = forms.FloatField(label="Strength at least", min_value=0, max_value=3, initial=0, required=False)
    least_probability = forms.FloatField(
        label="Probability at least",
        min_value=0,
        max_value=1,
        initial=0,
        required=False,
        help_text="Only for “weighted by reliability”.",
    )
    cuts = forms.CharField(
        label="Keep the easiest, in %",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="One or several shares, as 64, 81; or for a model each, one a line, as small=MODEL:64. Each becomes "
        "a config beside the whole, easy to hard.",
    )
    difficulty = forms.ChoiceField(
        label="Measure of difficulty", initial=DIFFICULTY, choices=list(HARDER.items()), required=False
    )
    difficulty_model = forms.ChoiceField(
        label="For the model",
        required=False,
        help_text="Where a cut names none. Easy for one may be hard for another.",
    )
    near_duplicates = forms.FloatField(
        label="Near duplicates from similarity",
        min_value=0,
        max_value=1,
        initial=0,
        required=False,
        help_text="The later of two goes. 0 keeps all; 0.8 is usual.",
    )
    test_share = forms.FloatField(
        label="Test share, in %",
        min_value=0,
        max_value=50,
        initial=0,
        required=False,
        help_text="Split by prompt: no prompt is in both.",
    )
    quotas = forms.CharField(
        label="Quotas",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="At most so many pairs with a tag, one a line, as code=500.",
    )
    subset = forms.IntegerField(
        label="At most so many pairs",
        min_value=0,
        max_value=10**9,
        initial=0,
        required=False,
        help_text="Those that say the most. 0 keeps all.",
    )
    embedding = forms.ChoiceField(label="By the vectors of", required=False, initial=NGRAMS)
    scores = forms.CharField(
        label="Measured scores",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="What models trained on so many pairs reached, one a line, as 1000=0.61. Only for the advice.",
    )
    seed = forms.IntegerField(
        label="Seed",
        min_value=0,
        max_value=2**31 - 1,
        initial=0,
        required=False,
        help_text="Of split, quotas and n-grams.",
    )
    most_harmful = forms.FloatField(
        label="Flagged as harmful at most, in %",
        min_value=0,
        max_value=100,
        initial=100 * MOST_HARMFUL,
        required=False,
        help_text="0: every one needs a reason. Another limit than 0.5 is put into the manifest with your name.",
    )
    sign_off = forms.CharField(label="Reason", required=False, max_length=500)
    layout = forms.ChoiceField(choices=[(name, layout) for name, layout in LAYOUTS.items()], initial="trl_dpo")
    version = forms.CharField(label="Name", required=False, max_length=60, help_text="As v1 or 3.0.0.")
    licence = forms.CharField(label="Licence", required=False, max_length=60, help_text="As cc-by-4.0 or apache-2.0.")
    names = forms.BooleanField(label="Tell annotators by their names", required=False)
    limits = forms.CharField(
        label="Known limits, for the card", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, given: Mapping[str, Any], *, project: Project) -> None:
        self.project = project
        data = {name: field.initial or "" for name, field in self.base_fields.items()}
        super().__init__({**data, **{name: given[name] for name in data if name in given}})
        for field in self.fields.values():
            if isinstance(field, forms.IntegerField):
                kind = "number" if isinstance(field, forms.FloatField) else "whole number"
                sentence = f"{field.label} is a {kind} from {field.min_value} to {field.max_value}.".replace("%", "%%")
                field.error_messages |= dict.fromkeys(("invalid", "min_value", "max_value"), sentence)
        self.saved = list(project.selections.select_related("owner").order_by("name", "-version")[:200])
        choice = self.fields["selection"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", "None"), *((str(one.pk), str(one)) for one in self.saved)]
        vectors = self.fields["embedding"]
        assert isinstance(vectors, forms.ChoiceField)
        models = [(model, f"{model}, mean hidden states") for model in embedded_models(project)]
        vectors.choices = [(NGRAMS, "The texts' n-grams, without a model"), *models]
        capacity = self.fields["difficulty_model"]
        assert isinstance(capacity, forms.ChoiceField)
        capacity.choices = [("", "The one that was measured last"), *((one, one) for one in models_measured(project))]

    # ---- fields ------------------------------------------------------------------------------------------------------

    def clean_selection(self) -> Selection | None:
        number = self.cleaned_data["selection"]
        chosen = next((one for one in self.saved if str(one.pk) == number), None)
        try:
            self.saved_criteria = criteria_in(chosen) if chosen else []
        except Refused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        return chosen

    def clean_where(self) -> list[Criterion]:
        try:
            return parse_all(_lines(self.cleaned_data["where"]))
        except Refused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal

    def clean_cuts(self) -> list[float | str]:
        parts = [part.strip() for part in self.cleaned_data["cuts"].replace("%", " ").replace("\n", ",").split(",")]
        # A model's name may hold blanks; shares alone may stand apart by them.
        given = [one for part in parts for one in ([part] if "=" in part else part.split())]
        try:
            return [one.told for one in cuts_of(given, of=100)]
        except Refused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal

    def clean_quotas(self) -> dict[str, int]:
        quotas = {}
        for line in _lines(self.cleaned_data["quotas"]):
            tag, _, most = line.rpartition("=")
            if not tag.strip() or not _is_count(most.strip()):
                raise forms.ValidationError(f"“{line}” is not a quota. Write tag and number, as code=500.")
            quotas[tag.strip()] = int(most)
        return quotas

    def clean_scores(self) -> dict[int, float]:
        scores = {}
        for line in _lines(self.cleaned_data["scores"]):
            pairs, _, score = line.partition("=")
            try:
                if not _is_count(pairs.strip()):
                    raise ValueError
                scores[int(pairs)] = float(score)
            except ValueError:
                shown = line if len(line) <= 60 else f"{line[:60]}…"
                raise forms.ValidationError(f"“{shown}” is no score. Write pairs and score, as 1000=0.61.") from None
            if int(pairs) < 1 or not math.isfinite(float(score)):
                raise forms.ValidationError(f"“{line}” is no score: at least one pair, and a finite number.")
        return scores

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            try:
                plan(project=self.project, **self.asked())
            except Impossible as refusal:
                self.add_error(refusal.option, str(refusal))
        return data

    # ---- what it asks for --------------------------------------------------------------------------------------------

    @property
    def selected(self) -> list[Criterion]:
        """The criteria of the saved selection and those beside it."""
        return [*self.saved_criteria, *self.cleaned_data["where"]]

    @property
    def least(self) -> list[Criterion]:
        """What is asked of each pair's judgements."""
        fields = ("judgements", "agreement", "strength")
        return [parse(f"{name}>={self.cleaned_data[name]:g}") for name in fields if self.cleaned_data[name]]

    def asked(self) -> dict[str, Any]:
        """What `plan` takes. Selection and minimums are its criteria, in this order."""
        data = self.cleaned_data
        return {
            "version": data["version"] or UNNAMED,
            "where": [*self.selected, *self.least],
            **{name: data[name] for name in ("rule", "layout", "annotators", "ties", "licence", "limits", "names")},
            **{name: data[name] or 0 for name in ("least_probability", "near_duplicates", "subset", "seed")},
            "test_share": (data["test_share"] or 0) / 100,
            "quotas": data["quotas"],
            "embedding": data["embedding"] or NGRAMS,
            "cuts": data["cuts"],
            "difficulty": data["difficulty"] or DIFFICULTY,
            "difficulty_model": data["difficulty_model"],
            "most_harmful": MOST_HARMFUL if data["most_harmful"] is None else round(data["most_harmful"] / 100, 8),
            "sign_off": data["sign_off"],
        }

    @property
    def tells_pseudonyms(self) -> bool:
        """Whether its rows name annotators by pseudonyms."""
        layout = LAYOUTS.get(str(self.data["layout"]))
        return layout is not None and layout.tells_annotators and not self.cleaned_data["names"]

    def refuse_name(self) -> None:
        """A release needs a name that is free; counting does not."""
        version = self.cleaned_data["version"]
        there = Release.objects.filter(project=self.project, version=version).first()
        if not version:
            self.add_error("version", "Give the release a name, for example v1.")
        elif there is not None:
            self.add_error(
                "version",
                f"{version} was released on {there.created_at:%d %B %Y}, and a release never changes. "
                "Choose another name.",
            )

    @property
    def digest(self) -> str:
        """Names what the count depends on. What only the card tells is left out."""
        told = {name: self.data[name] for name in self.fields if name not in ("version", "licence", "limits", "names")}
        return digest_of({name: str(value).strip() for name, value in told.items()})[:16]

    @property
    def address(self) -> str:
        """The query that leads back to this draft: what differs from the beginning."""
        told = {
            name: self.data[name]
            for name, field in self.base_fields.items()
            if str(self.data[name]) != str(field.initial or "")
        }
        return urlencode(told)


def _is_count(text: str) -> bool:
    """Whether it is a number of pairs: at most nine digits, of which int() knows all."""
    return text.isascii() and text.isdecimal() and len(text) <= 9


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def address_of(manifest: Mapping[str, Any]) -> str:
    """The query of a draft that asks for what a release was asked for, under a name still to be given.

    Empty where the manifest does not say it: it is of another format.
    """
    if any(name not in manifest for name in ("criteria", "ties", "quotas", "cuts", "harmful")):
        return ""
    cuts = list(manifest["cuts"].values())
    subset = manifest.get("subset")
    told = {
        "where": "\n".join(manifest["criteria"]),
        **{name: manifest[name] for name in ("rule", "ties", "layout", "licence", "limits", "seed")},
        "annotators": manifest["voices"],
        "least_probability": manifest["least_probability"],
        "near_duplicates": manifest["near_duplicates"],
        "test_share": f"{manifest['test_share'] * 100:g}",
        "quotas": "\n".join(f"{tag}={most}" for tag, most in manifest["quotas"].items()),
        "cuts": "\n".join(_cut(cut).in_percent for cut in cuts),
        "difficulty": cuts[0]["metric"] if cuts else DIFFICULTY,
        "difficulty_model": next((cut.get("model", "") for cut in cuts if not cut.get("name")), ""),
        **({"subset": subset["budget"], "embedding": subset["embedding"]} if subset else {}),
        "sign_off": manifest["harmful"]["sign_off"],
        "names": "on" if manifest["names"] else "",
    }
    most = manifest["harmful"].get("most", MOST_HARMFUL)
    limit = {} if most == MOST_HARMFUL else {"most_harmful": f"{100 * most:.10g}"}
    return urlencode({name: value for name, value in told.items() if value and value != "0"} | limit)


def _cut(told: Mapping[str, Any]) -> Cut:
    """As a manifest tells it. What is from before a cut could name its model has no name."""
    name = told.get("name", "")
    return Cut(told["share"], name, told["model"] if name else "")


class TargetForm(Described):
    """Whom the people should stand for. Cleaned, `target` is the request to measure it."""

    target = forms.CharField(
        label="Target",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text='A JSON object: {"age": {"18 to 29": 22, "30 to 59": 48, "60 and over": 30}}. Sizes in any unit.',
    )

    def clean_target(self) -> RepresentativenessRequest:
        typed: str = self.cleaned_data["target"].strip()
        # What does not begin so would be read as the name of a file, which only the command may.
        if not typed.startswith("{"):
            raise forms.ValidationError("Write a JSON object, from { to }.")
        try:
            asked = RepresentativenessRequest(target=typed)
            asked.check()
        except Refused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        return asked
