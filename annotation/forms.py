"""Forms of people, projects and guidelines: they read and check what was entered; the verbs decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import gettext_lazy as _

from annotation.errors import Refused
from annotation.founding import SETTINGS, read_tags
from annotation.guiding import LONGEST_TEXT, Entry
from annotation.inviting import MOST_DAYS, MOST_PLACES
from annotation.models import Guideline, Project, Role, Scale, User


class Described(forms.Form):
    """A form whose fields name their hint and their error for assistive technology, as the template writes them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            described = [f"id_{name}-hint"] if field.help_text else []
            field.widget.attrs["aria-describedby"] = " ".join([*described, f"id_{name}-err"])

    def full_clean(self) -> None:
        super().full_clean()
        for name in set(self.errors) & set(self.fields):
            self.fields[name].widget.attrs["aria-invalid"] = "true"

    def sentences(self) -> Iterator[tuple[BoundField | None, str]]:
        """Every error as (field, sentence); the field is None for what concerns the whole form."""
        for error in self.non_field_errors():
            yield None, str(error)
        for bound in self:
            for error in bound.errors:
                yield bound, str(error)


class JoinForm(Described):
    """A new account for somebody who was invited."""

    name = forms.CharField(label=_("Your name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        label=_("E-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=256,
        strip=False,
        help_text=_("At least 12 characters. A few words that do not belong together are good."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "minlength": 12}),
    )

    def __init__(self, *args: Any, invited: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if invited:
            self.fields["email"].initial = invited
            self.fields["email"].widget.attrs["readonly"] = True
            self.fields["email"].help_text = _("The invitation is for this address.")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password"):
            try:
                validate_password(data["password"], User(email=data.get("email", ""), name=data.get("name", "")))
            except ValidationError as error:
                self.add_error("password", error)
        return data


class InviteForm(Described):
    role = forms.ChoiceField(label="Role", choices=Role, initial=Role.ANNOTATOR)
    email = forms.EmailField(
        label="E-mail address", required=False, help_text="Leave empty for a link that anybody who has it may use."
    )
    places = forms.IntegerField(label="Places", min_value=1, max_value=MOST_PLACES, initial=1)
    days = forms.IntegerField(label="Days open", min_value=1, max_value=MOST_DAYS, initial=14)


class ProjectForm(Described):
    """What a new project needs to begin with."""

    name = forms.CharField(label="Name", max_length=120)
    description = forms.CharField(
        label="What it is for", required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 3})
    )
    question = forms.CharField(
        label="Question",
        max_length=200,
        initial="Which is better overall?",
        help_text="Stands above the answers of every pair.",
    )
    scale = forms.TypedChoiceField(
        label="Scale",
        choices=Scale,
        coerce=int,
        initial=Scale.SEVEN,
        help_text="It can not be changed once a pair has been judged.",
    )
    overlap = forms.IntegerField(
        label="Judgements per pair", min_value=1, max_value=50, initial=3, help_text="How many people judge each pair."
    )


class SettingsForm(ProjectForm):
    """Everything that a lead can set. `read()` gives it as the verb wants it."""

    task = forms.ChoiceField(
        label="What annotators are given",
        choices=Project.Task,
        help_text="A ranking is of all candidates of a prompt; it is stored with the pairs that it implies.",
    )
    allow_tie = forms.BooleanField(label="“About the same” can be chosen", required=False)
    allow_both_bad = forms.BooleanField(label="“Both bad” can be chosen", required=False)
    allow_edits = forms.BooleanField(
        label="The better answer can be edited",
        required=False,
        help_text="Releases then have rows in which the edited answer is better than the chosen one.",
    )
    rationale_policy = forms.ChoiceField(label="Reasons", choices=Project.RationalePolicy)
    shortest_reason = forms.IntegerField(
        label="Fewest characters of a needed reason",
        min_value=0,
        max_value=1000,
        help_text="Only where a reason is needed for every verdict: it then has to be written. 0: a tag or a highlight "
        "will do.",
    )
    votes_policy = forms.ChoiceField(
        label="Principle by principle",
        choices=Project.VotesPolicy,
        help_text="Which candidate follows each principle of the guideline better. A sample is one pair in five.",
    )
    tags = forms.CharField(
        label="Tags",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="What may have decided, one per line. They stand beside every pair.",
    )
    machine_reasons = forms.ChoiceField(
        label="Reasons that machines wrote",
        choices=Project.MachineReasons,
        help_text="For the candidate that was preferred, and never before the answer is saved. A judging run with "
        "rationales writes them.",
    )
    control_share = forms.FloatField(
        label="Share of answers for which none is shown",
        min_value=0,
        max_value=0.9,
        help_text="0.2 is one in five, drawn at random. Only against these can be measured what the reasons change.",
    )
    lease_minutes = forms.IntegerField(
        label="Minutes a pair stays reserved",
        min_value=1,
        max_value=1440,
        help_text="Without a sign of life for this long, it goes to somebody else.",
    )

    gold_round = forms.IntegerField(
        label="Pairs in the gold round",
        min_value=0,
        max_value=200,
        help_text="Their answer is known; they come first. 30 tell a good annotator from a guesser. 0: no round.",
    )
    gold_pass = forms.IntegerField(
        label="How many must be right",
        min_value=0,
        max_value=200,
        help_text="24 of 30: nine of ten right passes in 97 cases of 100, seven of ten in 16. One retry, other pairs.",
    )
    gold_rate = forms.FloatField(
        label="Share of gold pairs afterwards",
        min_value=0,
        max_value=0.5,
        help_text="0.05 is one pair in twenty. Nobody sees which.",
    )
    shows_results = forms.BooleanField(
        label="Annotators see how their own rounds went",
        required=False,
        help_text="A round when it is over; checks in between ten at a time, so that no single pair is told of.",
    )

    def __init__(self, *args: Any, project: Project, scale_is_fixed: bool, **kwargs: Any) -> None:
        initial = {name: getattr(project, name) for name in SETTINGS}
        initial["tags"] = "\n".join(tag["label"] for tag in project.tags)
        super().__init__(*args, initial=initial, **kwargs)
        self.project = project
        if scale_is_fixed:
            self.fields["scale"].disabled = True
            self.fields["scale"].help_text = "Pairs have been judged on this scale, so it stays."

    def clean_tags(self) -> list[dict[str, str]]:
        try:
            return read_tags(self.cleaned_data["tags"], existing=self.project.tags)
        except Refused as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("scale") == Scale.SEVEN and not data.get("allow_tie"):
            self.add_error("allow_tie", "A scale of 7 points has this in its middle. Allow it, or take 6 points.")
        if (data.get("gold_pass") or 0) > (data.get("gold_round") or 0):
            self.add_error("gold_pass", "No more can be right than the round has pairs. Take a smaller number.")
        return data

    def read(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in SETTINGS}


# Rows for principles beyond those that are there: enough to write a first list without asking for more rows.
SPARE_ROWS = 6
MOST_ROWS = 46


class GuidelineForm(Described):
    """A new version. Principles stand in numbered rows: the number orders them, an empty row is left out."""

    text = forms.CharField(
        label="Guideline",
        max_length=LONGEST_TEXT,
        widget=forms.Textarea(attrs={"rows": 18}),
        help_text="Markdown. What annotators decide, how strong is strong, and what to do when principles pull apart.",
    )
    priority_rules = forms.CharField(
        label="When principles pull apart",
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Which comes first, one rule per line. Leave empty where annotators decide.",
    )
    change_note = forms.CharField(
        label="What is new",
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One or two sentences. Annotators see them when they open the new version.",
    )

    def __init__(self, *args: Any, base: Guideline | None = None, **kwargs: Any) -> None:
        if base is not None:
            kwargs["initial"] = {"text": base.text, "priority_rules": "\n".join(base.priority_rules)}
        super().__init__(*args, **kwargs)
        if base is None:
            self.fields.pop("change_note")
        self.rows = self._posted_rows() if self.is_bound else self._stored_rows(base)

    def add_rows(self, number: int) -> None:
        """Show more empty rows."""
        last = len(self.rows)
        room = max(0, min(number, MOST_ROWS - last))
        self.rows += [{"number": str(last + n), "short": "", "text": ""} for n in range(1, room + 1)]

    def _stored_rows(self, base: Guideline | None) -> list[dict[str, str]]:
        places = base.places.select_related("principle") if base else []
        rows = [
            {"number": str(n), "short": p.principle.short, "text": p.principle.text}
            for n, p in enumerate(places, start=1)
        ]
        return rows + [{"number": str(len(rows) + n), "short": "", "text": ""} for n in range(1, SPARE_ROWS + 1)]

    def _posted_rows(self) -> list[dict[str, str]]:
        shorts, texts, numbers = (self.data.getlist(f"principle_{part}") for part in ("short", "text", "number"))  # type: ignore[attr-defined]
        rows = [
            {"number": number.strip(), "short": short.strip(), "text": text.strip()}
            for number, short, text in zip(numbers, shorts, texts, strict=False)
        ]
        return rows[:MOST_ROWS]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        written = [row for row in self.rows if row["short"] or row["text"]]
        entries: list[tuple[float, int, Entry]] = []
        for place, row in enumerate(written, start=1):
            if "\x00" in row["short"] + row["text"]:
                raise ValidationError(f"Principle {place} contains a NUL character. Remove it.")
            try:
                number = float(row["number"] or place)
            except ValueError:
                raise ValidationError(f"The place of principle {place} is {row['number']!r}. Give a number.") from None
            if not abs(number) < 1e6:
                raise ValidationError(f"The place of principle {place} is {row['number']!r}. Give a smaller one.")
            if not row["short"] or not row["text"]:
                raise ValidationError(f"Principle {place} needs a short name and a text. Empty both to leave it out.")
            entries.append((number, place, Entry(short=row["short"], text=row["text"])))
        # Two rows with one number keep the order in which they stand.
        data["principles"] = [entry for _, _, entry in sorted(entries, key=lambda item: item[:2])]
        data["priority_rules"] = [line.strip() for line in data.get("priority_rules", "").splitlines() if line.strip()]
        return data
