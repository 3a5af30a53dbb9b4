"""The forms in which a template's next version is written: they read what was entered; the verb checks and decides."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.forms import Described
from annotation.phrasing import PARTS, VALUE, Version
from annotation.reasoning import LONGEST_TEMPLATE

# What stands below each part: which places it has.
HINTS = {
    VALUE: "One value a line: dimension > subdimension > value: what it asks for.",
    "system": "May be empty. It has no places.",
    "user": "Places: {prompt}, {a}, {b}, {principle}. With {principle} after {a} and {b}, both candidates are read "
    "once for all principles.",
    "system_overall": "May be empty. It has no places.",
    "user_overall": "Places: {prompt}, {a}, {b}.",
    "text": "Places: {prompt}, {chosen}, {rejected}. Or, to ask without giving the verdict away: {prompt}, {a}, {b}, "
    "{mark_a}, {mark_b}. The marks are empty, or say which one is right.",
}
ROWS = {VALUE: 26, "system": 3, "user": 12, "system_overall": 3, "user_overall": 9, "text": 12}


class TemplateForm(Described):
    """The parts of one kind of template; with a name where it is a new one."""

    name = forms.CharField(
        label="Name",
        max_length=40,
        help_text="Small letters, digits and hyphens. What is made with it names it and its version.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, kind: str, base: Version | None = None, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(*args, **kwargs)
        if base is not None:
            del self.fields["name"]
        for part, title in PARTS[kind].items():
            # A list of values has one part, as a request has, and is written in another way.
            told = VALUE if kind == VALUE else part
            area = forms.Textarea(attrs={"rows": ROWS[told], "class": "mono", "dir": "auto", "spellcheck": "false"})
            self.fields[part] = forms.CharField(
                label=title,
                required=not part.startswith("system"),
                max_length=LONGEST_TEMPLATE,
                strip=False,
                widget=area,
                help_text=HINTS[told],
                initial=base.parts[part] if base else "",
            )
            self.fields[part].widget.attrs["aria-describedby"] = f"id_{part}-hint id_{part}-err"

    def parts(self) -> dict[str, str]:
        return {part: self.cleaned_data[part] for part in PARTS[self.kind]}
