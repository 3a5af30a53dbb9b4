"""A model's name in the registry -> the loaded model."""

from __future__ import annotations

from annotation.errors import Refused
from annotation.registering import usable_model
from workers.backends import Backend, CannotLoad, load_backend


def open_model(name: str) -> Backend:
    """The model that runs call so, loaded.

    Raises:
        Refused: the registry has no such model, it may not be used, or it cannot be loaded, with the reason.
    """
    model = usable_model(name)
    try:
        return load_backend(**model.backend_arguments)
    except CannotLoad as error:
        raise Refused(str(error)) from error
