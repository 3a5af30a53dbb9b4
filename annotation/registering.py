"""Models -> the register of models: which ones workers may load and ask, who allowed them, what a check found.

Site admins register, allow and withdraw. The web server never opens a model nor an endpoint: a worker checks it, in a
run of the kind "check".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import LanguageModel, Run, User
from annotation.recording import record
from annotation.running import Hold, request_run

# A location that begins so names a model that comes along with Plumbline (settings.SHIPPED_MODELS).
SHIPPED = "shipped:"
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_NAME = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}")
LOCAL, ENDPOINT = LanguageModel.Backend.TRANSFORMERS_LOCAL, LanguageModel.Backend.OPENAI_COMPATIBLE
REWARD = LanguageModel.Backend.REWARD_LOCAL


# ---- register --------------------------------------------------------------------------------------------------------


@transaction.atomic
def register_model(
    *,
    name: str,
    backend: str,
    location: str = "",
    name_there: str = "",
    revision: str = "",
    is_toy: bool = False,
    actor: User | None = None,
    command: str = "",
) -> LanguageModel:
    """Write a model down. It is neither allowed nor checked yet.

    Raises:
        Refused: something is missing, the folder lies outside the allowed roots, or the model is registered already.
    """
    name, location, name_there, revision = (text.strip() for text in (name, location, name_there, revision))
    if not name or any(ord(sign) < 32 for sign in name + location + name_there + revision):
        raise Refused("Give the model a name, without line breaks. Runs and candidates will call it so.")
    if is_toy and not all("toy" in text.casefold() for text in (name, name_there) if text):
        raise Refused("A toy's name has “toy” in it: candidates and judges are called so, wherever they are shown.")
    if backend == ENDPOINT:
        _check_address(location)
    elif backend in LanguageModel.LOCAL and location:
        folder = folder_of(location)
        # What comes along keeps its short name, so that it is found wherever Plumbline lies.
        location = location if location.startswith(SHIPPED) else str(folder)
    elif backend in LanguageModel.LOCAL:
        _check_hub(name_there or name, revision)
    else:
        raise Refused(f"There is no backend {backend!r}. Known are: {', '.join(LanguageModel.Backend.values)}.")
    try:
        with transaction.atomic():
            model = LanguageModel.objects.create(
                name=name,
                backend=backend,
                location=location,
                name_there=name_there,
                revision=revision,
                is_toy=is_toy,
                registered_by=actor,
            )
    except IntegrityError as error:
        raise Refused(
            f"A model “{name}”, or one with the same place and revision, is registered already. See the list."
        ) from error
    after = {"backend": backend, "location": location, "name_there": name_there, "revision": revision, "toy": is_toy}
    record(act="model.register", subject=f"model {name}", actor=actor, command=command, after=after)
    return model


def folder_of(location: str) -> Path:
    """The folder of a local model, links resolved.

    Raises:
        Refused: it lies under none of the allowed roots (PLUMBLINE_MODELS), or no such model comes along.
    """
    if location.startswith(SHIPPED):
        shipped = settings.SHIPPED_MODELS.get(location.removeprefix(SHIPPED))
        if shipped is None:
            raise Refused(f"No model {location} comes along. There are: {', '.join(settings.SHIPPED_MODELS)}.")
        return Path(shipped)
    roots = [Path(root).resolve() for root in settings.MODEL_ROOTS]
    path = Path(location)
    # A short name is looked up in the first root.
    folder = (path if path.is_absolute() else roots[0] / path).resolve()
    if not any(folder.is_relative_to(root) and folder != root for root in roots):
        allowed = ", ".join(str(root) for root in roots)
        raise Refused(
            f"The folder {location} does not lie under {allowed}. Put the model there, or set PLUMBLINE_MODELS."
        )
    return folder


def _check_address(location: str) -> None:
    try:
        parts = urlsplit(location)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise Refused("Give the endpoint's base address, as http://host:8000/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Refused(
            "The address holds more than a host and a path. Keys are given to the worker, never written here."
        )


def _check_hub(name: str, revision: str) -> None:
    if not HUB_NAME.fullmatch(name):
        raise Refused(f"“{name}” is no name of the hub. Write it as owner/name, or give a folder.")
    if not COMMIT.fullmatch(revision):
        raise Refused("Give the revision as a commit of 40 hexadecimal digits: a branch can change under your feet.")


# ---- allow and withdraw ----------------------------------------------------------------------------------------------


@transaction.atomic
def allow_model(*, model: LanguageModel, actor: User | None = None, command: str = "") -> LanguageModel:
    """Let runs use it, once a check found it sound. Allowing twice changes nothing."""
    model = LanguageModel.objects.select_for_update().get(pk=model.pk)
    if model.allowed_at is None:
        model.allowed_by, model.allowed_at = actor, timezone.now()
        model.save(update_fields=["allowed_by", "allowed_at"])
        record(act="model.allow", subject=f"model {model.name}", actor=actor, command=command)
    return model


@transaction.atomic
def withdraw_model(*, model: LanguageModel, actor: User | None = None, command: str = "") -> LanguageModel:
    """No new run uses it. Runs that work with it now end as they would have; cancel them to stop them."""
    model = LanguageModel.objects.select_for_update().get(pk=model.pk)
    if model.allowed_at is not None:
        model.allowed_by, model.allowed_at = None, None
        model.save(update_fields=["allowed_by", "allowed_at"])
        record(act="model.withdraw", subject=f"model {model.name}", actor=actor, command=command)
    return model


# ---- check -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def request_check(*, model: LanguageModel, actor: User | None = None) -> Run:
    """Ask a worker to load the model and to let it say one word. A check that waits or runs already is enough."""
    model = LanguageModel.objects.select_for_update(of=("self",)).select_related("check_run").get(pk=model.pk)
    if model.check_run is not None and not model.check_run.is_final:
        return model.check_run
    run = request_run(project=None, kind=Run.Kind.CHECK, parameters={"model": model.pk}, actor=actor)
    model.check_run = run
    model.save(update_fields=["check_run"])
    return run


def record_check(
    *, hold: Hold, model: LanguageModel, is_sound: bool, said: str, revision: str = "", digest: str = ""
) -> None:
    """Write down what a worker found. `revision` is what was loaded, kept where none was given; and `digest`, that of a
    hub model's files, where none is known.

    Raises:
        Refused: it is another entry's model, which only its revision tells. Nothing is written.
        Superseded: another worker has the run now.
    """
    with hold.fenced():
        model = LanguageModel.objects.select_for_update().get(pk=model.pk)
        model.is_sound, model.check_said, model.checked_at = is_sound, said, timezone.now()
        model.revision, model.digest = model.revision or revision, model.digest or digest
        try:
            with transaction.atomic():
                model.save(update_fields=["is_sound", "check_said", "checked_at", "revision", "digest"])
        except IntegrityError as error:
            same = {name: getattr(model, name) for name in ("backend", "name_there", "location", "revision")}
            twin = LanguageModel.objects.filter(**same).exclude(pk=model.pk).first()
            if twin is None:
                raise
            raise Refused(
                f"It is the same model as “{twin.name}”, from the same place and of the same revision "
                f"({model.revision[:19]}). Use that one."
            ) from error


# ---- use -------------------------------------------------------------------------------------------------------------


def usable_model(name: str, *, rewards: bool = False) -> LanguageModel:
    """The model of that name, for a run. `rewards`: a reward model is wanted, otherwise one that answers.

    Raises:
        Refused: it is not registered, not allowed, not checked, the check failed, or it is of the other kind; the
            sentence says which.
    """
    model = LanguageModel.objects.filter(name=name).first()
    if model is None:
        raise Refused(f"There is no model “{name}”. A site admin registers models.")
    if model.allowed_at is None:
        raise Refused(f"The model “{name}” is not allowed. A site admin allows it on the page of models.")
    if model.is_sound is None:
        raise Refused(f"The model “{name}” has not been checked. A site admin checks it on the page of models.")
    if not model.is_sound:
        raise Refused(f"The model “{name}” cannot be used. {model.check_said}")
    if rewards and model.backend != REWARD:
        raise Refused(f"“{name}” is no reward model: it gives no single number of an answer. Name another.")
    if not rewards and model.backend == REWARD:
        raise Refused(f"“{name}” is a reward model: it writes nothing and chooses nothing. Name another.")
    return model


def backend_arguments(model: LanguageModel) -> dict[str, str]:
    """What workers.backends.load_backend takes.

    Raises:
        Refused: its folder lies under none of the allowed roots; they may have changed since it was registered.
    """
    is_folder = model.backend in LanguageModel.LOCAL and model.location
    return {
        "name": model.name_there or model.name,
        "revision": model.revision,
        "digest": model.digest,
        "kind": model.backend,
        "folder_or_url": str(folder_of(model.location)) if is_folder else model.location,
    }


def check_usable(names: Iterable[str], *, rewards: bool = False) -> list[LanguageModel]:
    """`usable_model` for each of them, in their order."""
    return [usable_model(name, rewards=rewards) for name in names]
