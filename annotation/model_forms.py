"""The form that registers a model; annotation/registering.py decides what is possible."""

from __future__ import annotations

from django import forms

from annotation.forms import Described
from annotation.models import LanguageModel


class ModelForm(Described):
    name = forms.CharField(label="Name", max_length=200, help_text="As runs, candidates and judges will call it.")
    backend = forms.ChoiceField(label="Backend", choices=LanguageModel.Backend)
    location = forms.CharField(
        label="Folder or address",
        max_length=500,
        required=False,
        help_text="A folder under the allowed ones, or the base address of an endpoint, as http://host:8000/v1. "
        "Empty: the hub.",
    )
    name_there = forms.CharField(
        label="Its name there", max_length=300, required=False, help_text="At the hub or the endpoint, as owner/name."
    )
    revision = forms.CharField(
        label="Revision",
        max_length=100,
        required=False,
        help_text="From the hub: a commit of 40 hexadecimal digits. Of a folder: its digest, if it is to be checked.",
    )
    is_toy = forms.BooleanField(
        label="It is a toy",
        required=False,
        help_text="Its name has “toy” in it, and annotators are never handed its texts.",
    )
