"""The forms that start a run: they read and check what was entered, and give a plan; the verbs decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils import timezone

from annotation import prompting
from annotation.asking import ABOUT, JudgingPlan
from annotation.estimating import Speed, speeds_of
from annotation.forms import Described
from annotation.generating import PAIRING_TITLES, SCORERS, STRATEGIES, GenerationPlan
from annotation.models import LanguageModel, Pair, Project, Prompt, Run
from annotation.phrasing import JUDGE, RATIONALE, VALUE, newest_of
from annotation.starting import WHICH_PROMPTS, Plan, chosen, without_candidates

# Tags that are offered; a project with more of them has the command and the API.
MOST_TAGS = 60
# As many of the latest runs that made pairs.
MOST_RUNS = 10

KINDS = {"generate": Run.Kind.GENERATION, "judge": Run.Kind.JUDGING}


class StrategySelect(forms.Select):
    """Says in the page which strategies set one model against another, and which draw values: only they are asked which
    model is the better one, and from which list.
    """

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if STRATEGIES[str(value)].is_two_sided:
            option["attrs"]["data-two-sided"] = ""
        if STRATEGIES[str(value)].draws_values:
            option["attrs"]["data-values"] = ""
        return option


class StartForm(Described):
    """What both kinds have in common. `plan()` gives what was entered as the verbs want it."""

    kind = ""
    source = forms.ChoiceField(label="Source", required=False)
    limit = forms.IntegerField(
        label="At most", min_value=1, max_value=10_000_000, required=False, help_text="The first so many. Empty: all."
    )
    seed = forms.IntegerField(
        label="Seed", min_value=0, max_value=2**62, initial=0, help_text="The same seed makes the same run again."
    )

    def __init__(self, *args: Any, project: Project, usable: list[LanguageModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.usable = usable
        self._choose_from("source", [("", "Any"), *_sources(Prompt if self.kind == "generate" else Pair, project)])

    def plan(self) -> Plan:
        raise NotImplementedError

    def _choose_from(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def _entered(self, *names: str) -> dict[str, Any]:
        """What was entered in these fields; where nothing was, the plan has its own."""
        return {name: value for name in names if (value := self.cleaned_data[name]) not in (None, "")}

    @property
    def asked_models(self) -> BoundField:
        """The field in which the models are chosen: one for a judge, several for a generation."""
        return self["models" if self.kind == "generate" else "model"]

    @property
    def model_rows(self) -> list[dict[str, Any]]:
        """The models as choices, each with the speed at which it was seen last."""
        value = self.asked_models.value() or []
        taken = value if isinstance(value, list | tuple) else [value]
        now, rows = timezone.now(), []
        for model in self.usable:
            speeds = speeds_of(kind=KINDS[self.kind], model=model.name, now=now)
            says = f"{_pace(speeds[0])} in run {speeds[0].run_id}" if speeds else "not measured yet"
            rows.append({"model": model, "is_chosen": model.name in taken, "says": says})
        return rows


class GenerationForm(StartForm):
    kind = "generate"

    which = forms.ChoiceField(label="Prompts")
    models = forms.MultipleChoiceField(
        label="Models",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one model."},
    )
    strategy = forms.ChoiceField(
        label="Strategy",
        choices=[(key, facts.title) for key, facts in STRATEGIES.items()],
        initial="plain",
        widget=StrategySelect,
    )
    # Boxes are sent in the order of the page, so their order cannot say it.
    better = forms.ChoiceField(
        label="Meant to be better",
        required=False,
        help_text="Of the two models that are ticked, where the strategy sets one against the other.",
    )
    values = forms.ChoiceField(
        label="Values",
        required=False,
        help_text="What the system messages are drawn from. Templates has the lists, and takes your own.",
    )
    n = forms.IntegerField(
        label="Per prompt",
        min_value=1,
        max_value=64,
        initial=4,
        error_messages={"required": "Say how many candidates each prompt gets: 1 to 64."},
    )
    max_tokens = forms.IntegerField(
        label="Max tokens",
        min_value=1,
        max_value=32_768,
        initial=512,
        error_messages={"required": "Give the longest candidate in tokens, 1 to 32,768."},
    )
    temperature = forms.FloatField(label="Temperature", min_value=0, max_value=5, initial=1.0)
    top_p = forms.FloatField(label="Top p", min_value=0.01, max_value=1, initial=1.0)
    top_k = forms.IntegerField(
        label="Top k", min_value=0, max_value=1_000_000, initial=0, required=False, help_text="0: all tokens."
    )
    min_p = forms.FloatField(
        label="Min p", min_value=0, max_value=1, initial=0.0, required=False, help_text="0: all tokens."
    )
    stop = forms.CharField(
        label="Stop at",
        max_length=4000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One text a line, at most 16. A candidate ends before the first that comes.",
    )
    scorer = forms.ChoiceField(
        label="Scorer",
        choices=[("", "None"), *SCORERS.items()],
        required=False,
        help_text="Only “Best and worst of n” scores its candidates.",
    )
    scorer_model = forms.ChoiceField(label="Scored by", required=False, help_text="The model that gives the scores.")
    pairing = forms.ChoiceField(
        label="Pairs",
        choices=[("", "As the strategy does"), *PAIRING_TITLES.items()],
        required=False,
        help_text="Identical and near-identical candidates are left out, and counted.",
    )
    per_prompt = forms.IntegerField(
        label="Pairs per prompt",
        min_value=1,
        max_value=1000,
        initial=1,
        required=False,
        help_text="Only where pairs are sampled.",
    )
    near = forms.FloatField(
        label="Near-identical from",
        min_value=0.1,
        max_value=1,
        initial=0.9,
        required=False,
        help_text="The share of word triples that two candidates have in common; 1: only identical ones.",
    )

    def __init__(self, *args: Any, project: Project, usable: list[LanguageModel], **kwargs: Any) -> None:
        super().__init__(*args, project=project, usable=usable, **kwargs)
        counts = {"without": without_candidates(project).count(), "all": Prompt.objects.filter(project=project).count()}
        which = [(key, f"{word} ({counts[key]:,})") for key, word in WHICH_PROMPTS.items()]
        # What the page offers unasked should be something that can be done.
        which.sort(key=lambda choice: counts[choice[0]] == 0)
        saved = [(f"selection:{name}", f"Selection “{words}”") for name, words in prompting.listed(project)]
        self._choose_from("which", [*which, *saved, *_tags(Prompt, project)])
        names = [(model.name, model.name) for model in usable]
        self._choose_from("models", names)
        self.fields["models"].initial = [model.name for model in usable[:1]]
        self._choose_from("better", [("", "Choose one"), *names])
        self._choose_from("scorer_model", [("", "The model that writes"), *names])
        lists = newest_of(project=project, kind=VALUE)
        self._choose_from("values", [(one.name, one.title) for one in lists])
        # Which strategy wants what is said by the strategy itself, below the field.
        self.about = [(facts.title, facts.about) for facts in STRATEGIES.values()]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        models, better = given.get("models"), given.get("better")
        facts = STRATEGIES.get(given.get("strategy", ""))
        if facts is None or not facts.is_two_sided or models is None or better is None:
            return given
        if len(models) != 2:
            self.add_error("models", f"The strategy {facts.title} takes 2 models: tick two.")
        elif not better:
            self.add_error("better", "Say which of the two models is meant to be better.")
        elif better not in models:
            self.add_error("better", f"{better} is not ticked. Choose one of {models[0]} and {models[1]}.")
        else:
            given["models"] = sorted(models, key=lambda name: name != better)
        return given

    def plan(self) -> GenerationPlan:
        given = {name: self.cleaned_data[name] for name in ("strategy", "n", "max_tokens", "temperature", "top_p")}
        given |= self._entered("source", "limit", "top_k", "min_p", "scorer", "scorer_model")
        given |= self._entered("pairing", "per_prompt", "near")
        if STRATEGIES[given["strategy"]].draws_values:
            given |= self._entered("values")
        # A browser sends lines with both signs of a line's end.
        stop = tuple(line for line in self.cleaned_data["stop"].replace("\r\n", "\n").split("\n") if line)
        plan = GenerationPlan(models=tuple(self.cleaned_data["models"]), stop=stop, **given)
        return chosen(project=self.project, plan=plan, which=self.cleaned_data["which"])


class JudgingForm(StartForm):
    kind = "judge"

    PAIRS = {"all": "All pairs", "judged": "Pairs that people have judged"}
    ASKS = {
        "overall": "Which is better overall",
        "principles": "Which follows each principle better",
        "injections": "Whether hidden commands turn the verdict",
        "rationales": "Why, as text",
    }

    which = forms.ChoiceField(label="Pairs")
    model = forms.ChoiceField(
        label="Judge", widget=forms.RadioSelect, error_messages={"required": "Choose the model that judges."}
    )
    template = forms.ChoiceField(label="Template", initial="oracle")
    asks = forms.MultipleChoiceField(
        label="What it is asked",
        choices=list(ASKS.items()),
        widget=forms.CheckboxSelectMultiple,
        initial=["overall", "injections"],
        error_messages={"required": "Choose at least one question."},
    )
    principles = forms.MultipleChoiceField(
        label="Principles",
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="None ticked: those of the guideline in force.",
    )
    injection_limit = forms.IntegerField(
        label="Hidden commands in",
        min_value=1,
        max_value=100_000,
        initial=50,
        required=False,
        help_text="So many pairs, where they are asked for.",
    )
    # These are asked only of those who want reasons.
    rationales = forms.MultipleChoiceField(
        label="Templates of the reasons",
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="None ticked: the one that fits what is explained.",
    )
    about = forms.ChoiceField(label="Reasons for", choices=list(ABOUT.items()), required=False, initial="own")
    max_tokens = forms.IntegerField(
        label="Longest reason", min_value=1, max_value=8192, initial=256, required=False, help_text="In tokens."
    )
    temperature = forms.FloatField(
        label="Temperature",
        min_value=0,
        max_value=5,
        initial=0.7,
        required=False,
        help_text="Of reasons; verdicts are never sampled.",
    )

    def __init__(self, *args: Any, project: Project, usable: list[LanguageModel], **kwargs: Any) -> None:
        super().__init__(*args, project=project, usable=usable, **kwargs)
        which = [*self.PAIRS.items(), *_runs_with_pairs(project), *_tags(Pair, project)]
        self._choose_from("which", which)
        for name, kind in (("template", JUDGE), ("rationales", RATIONALE)):
            known = newest_of(project=project, kind=kind)
            self._choose_from(name, [(one.name, one.title) for one in known])
        self._choose_from("model", [(model.name, model.name) for model in usable])
        self._choose_from("principles", _principles(project))
        self.fields["model"].initial = usable[0].name if usable else None
        has_principles = project.guideline is not None and project.guideline.places.exists()
        # How far hidden commands turn a judge is a figure of every judge: who does not want it says so.
        self.fields["asks"].initial = ["overall", *(["principles"] if has_principles else []), "injections"]

    def plan(self) -> JudgingPlan:
        which: str = self.cleaned_data["which"]
        kind, _, named = which.partition(":")
        return JudgingPlan(
            model=self.cleaned_data["model"],
            template=self.cleaned_data["template"],
            asks=tuple(self.cleaned_data["asks"]),
            rationales=tuple(self.cleaned_data["rationales"]),
            principles=tuple(int(number) for number in self.cleaned_data["principles"]),
            judged_only=which == "judged",
            generation=int(named) if kind == "run" else None,
            tag=named if kind == "tag" else "",
            **self._entered("about", "source", "limit", "injection_limit", "max_tokens", "temperature"),
        )


def _pace(speed: Speed) -> str:
    if speed.tokens:
        return f"{speed.tokens:,.0f} tokens/s"
    return f"{speed.units:,.1f} a second" if speed.units < 100 else f"{speed.units:,.0f} a second"


def _runs_with_pairs(project: Project) -> list[tuple[str, str]]:
    """The latest runs whose pairs can be judged, as choices."""
    runs = project.runs.filter(kind=Run.Kind.GENERATION, result__pairs__gt=0).order_by("-id")
    rows = runs.values_list("pk", "result__pairs")[:MOST_RUNS]
    return [(f"run:{pk}", f"Made by run {pk} ({pairs:,})") for pk, pairs in rows]


def _tags(model: type[Prompt] | type[Pair], project: Project) -> list[tuple[str, str]]:
    """The tags that things of this project have, as choices."""
    rows = model.objects.filter(project=project).values_list("tags", flat=True)
    found = sorted({tag for tags in rows.exclude(tags=[]).distinct()[:1000] for tag in tags})
    return [(f"tag:{tag}", f"Tagged “{tag}”") for tag in found[:MOST_TAGS]]


def _sources(model: type[Prompt] | type[Pair], project: Project) -> list[tuple[str, str]]:
    """Where things of this project came from, as choices."""
    rows = model.objects.filter(project=project).exclude(source="").values_list("source", flat=True)
    return [(source, source) for source in rows.order_by("source").distinct()[:MOST_TAGS]]


def _principles(project: Project) -> list[tuple[str, str]]:
    """Those in force in the guideline's order, then the project's others, as choices."""
    places = project.guideline.places.values_list("principle_id", flat=True) if project.guideline else []
    order = {number: place for place, number in enumerate(places)}
    found = sorted(project.principles.all(), key=lambda one: (order.get(one.pk, len(order)), one.pk))
    return [(str(one.pk), one.short if one.pk in order else f"{one.short} (not in force)") for one in found]


FORMS: dict[str, type[GenerationForm] | type[JudgingForm]] = {"generate": GenerationForm, "judge": JudgingForm}
