"""A model is checked: it is loaded as a run would load it, and says one word. What was found is a sentence.

A reward model says one number.
"""

from __future__ import annotations

from typing import Any

from annotation import registering
from annotation.errors import Refused
from annotation.models import LanguageModel
from annotation.running import Hold
from workers.backends import CannotAnswer, CannotLoad, Sampling, load_backend, load_rewarder
from workers.opening import check_toy

QUESTION = [{"role": "user", "content": "Say yes."}]
ANSWER = {"role": "assistant", "content": "Yes."}


def execute(hold: Hold) -> dict[str, Any]:
    """Do a run of the kind "check" and return its result. Run twice, the later finding stands.

    Raises:
        Refused: the model cannot be used; the register says so too.
        Cancelled, Superseded: as of the run's heartbeat.
    """
    model = LanguageModel.objects.filter(pk=hold.run.parameters["model"]).first()
    if model is None:
        raise Refused("The model is not registered any more.")
    hold.say(f"loading {model.name} from {model.source}")
    try:
        revision, said = _try(hold, model)
        registering.record_check(hold=hold, model=model, is_sound=True, said=said, revision=revision)
    except Refused as refusal:
        registering.record_check(hold=hold, model=model, is_sound=False, said=str(refusal))
        raise
    return {"model": model.name, "revision": revision}


def _try(hold: Hold, model: LanguageModel) -> tuple[str, str]:
    """Load and ask once. Returns the revision that was loaded, and a sentence."""
    try:
        if model.backend == registering.REWARD:
            return _try_reward(hold, model)
        backend = load_backend(**registering.backend_arguments(model))
        check_toy(model, backend)
        hold.check()
        sampling = Sampling(temperature=0.0, max_tokens=4)
        for _, made in backend.generate([QUESTION], sampling=sampling, seeds=[0], beat=hold.check):
            return backend.revision, f"Loaded, and answered with {made.token_count} tokens."
    except (CannotLoad, CannotAnswer) as error:
        raise Refused(str(error)) from error
    raise Refused("The model was loaded and gave no answer. See the worker's log.")


def _try_reward(hold: Hold, model: LanguageModel) -> tuple[str, str]:
    """As `_try`, of a reward model."""
    rewarder = load_rewarder(**registering.backend_arguments(model))
    check_toy(model, rewarder)
    hold.check()
    [reward] = rewarder.rewards([[*QUESTION, ANSWER]], beat=hold.check)
    return rewarder.revision, f"Loaded, and gave {reward:.3f} for a short answer."
