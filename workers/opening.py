"""A model's name in the registry -> the loaded model. One at a time: the next one takes the place of the last."""

from __future__ import annotations

from django.apps import apps

from annotation.errors import Refused
from workers.backends.primitives import Backend, CannotLoad


def open_model(name: str) -> Backend:
    """The model that runs name so.

    Raises:
        Refused: the registry has no such model, it may not be used, or it cannot be loaded, with the reason.
    """
    from workers.backends import load_backend

    try:
        registry = apps.get_model("annotation", "LanguageModel")
    except LookupError:
        raise Refused("This version of Plumbline has no model registry yet.") from None
    model = registry.objects.filter(name=name).first()
    if model is None:
        known = ", ".join(registry.objects.allowed().values_list("name", flat=True)[:20])
        raise Refused(f"There is no model {name!r} in the registry. Allowed are: {known or 'none yet'}.")
    if not model.is_usable:
        raise Refused(f"The model {name!r} may not be used yet: an admin allows it, and a worker must have checked it.")
    try:
        return load_backend(**model.backend_arguments)
    except CannotLoad as error:
        raise Refused(str(error)) from error
