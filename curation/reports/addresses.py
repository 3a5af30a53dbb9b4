"""What the report pages are asked by their address, checked."""

from __future__ import annotations

from django import forms
from django.http import QueryDict

from curation.reports.people import ALL, SORTED

MOST_CHOSEN = 300


class PeopleForm(forms.Form):
    """The address of the people report. What is left out has its usual value; what cannot be read is an error."""

    round = forms.RegexField(rf"^({ALL}|[0-9]{{1,9}})$", required=False)
    sort = forms.ChoiceField(choices=[(key, key) for key in SORTED], required=False)
    dir = forms.ChoiceField(choices=[("asc", "asc"), ("desc", "desc")], required=False)
    names = forms.ChoiceField(choices=[("shown", "shown"), ("hidden", "hidden")], required=False)
    enough = forms.BooleanField(required=False)
    who = forms.TypedMultipleChoiceField(coerce=int, required=False)
    pin = forms.RegexField(r"^[0-9]{1,18},[0-9]{1,18}$", required=False)

    def __init__(self, query: QueryDict) -> None:
        super().__init__(query)
        # Any number may be asked for; who is not there is not compared.
        typed = [one for one in query.getlist("who") if one.isascii() and one.isdecimal() and len(one) <= 18]
        self.fields["who"].choices = [(one, one) for one in typed[:MOST_CHOSEN]]  # type: ignore[attr-defined]

    def clean_round(self) -> str:
        return self.cleaned_data["round"] or ALL

    def clean_sort(self) -> str:
        return self.cleaned_data["sort"] or "n"

    def clean_dir(self) -> str:
        return self.cleaned_data["dir"] or "desc"

    def clean_names(self) -> str:
        return self.cleaned_data["names"] or "shown"

    def clean_pin(self) -> tuple[int, int] | None:
        one, comma, other = self.cleaned_data["pin"].partition(",")
        return (int(one), int(other)) if comma else None
