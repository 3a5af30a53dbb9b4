"""A model's name in the registry -> the loaded model."""

from __future__ import annotations

from annotation.errors import Refused
from annotation.models import LanguageModel
from annotation.registering import backend_arguments, usable_model
from workers.backends import Backend, CannotLoad, Rewarder, load_backend, load_rewarder


def open_model(name: str) -> Backend:
    """The model that runs call so, loaded.

    Raises:
        Refused: the registry has no such model, it may not be used, or it cannot be loaded, with the reason.
    """
    model = usable_model(name)
    try:
        backend = load_backend(**backend_arguments(model))
    except CannotLoad as error:
        raise Refused(str(error)) from error
    check_toy(model, backend)
    return backend


def open_rewarder(name: str) -> Rewarder:
    """The reward model that runs call so, loaded.

    Raises:
        Refused: the registry has no such reward model, it may not be used, or it cannot be loaded, with the reason.
    """
    model = usable_model(name, rewards=True)
    try:
        rewarder = load_rewarder(**backend_arguments(model))
    except CannotLoad as error:
        raise Refused(str(error)) from error
    check_toy(model, rewarder)
    return rewarder


def check_toy(model: LanguageModel, backend: Backend | Rewarder) -> None:
    """A toy is registered as one, so that its name says it.

    Raises:
        Refused: the model's own configuration says that it is a toy, and the register does not.
    """
    if backend.is_toy and not model.is_toy:
        raise Refused(f"{model.name} is a toy and not registered as one. Register it anew, with “toy” in its name.")
