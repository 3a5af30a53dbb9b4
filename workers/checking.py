"""A model is checked: it is loaded as a run would load it, and says one word. What was found is a sentence; another one
says what speaks against it as a judge.

A reward model says one number.
"""

from __future__ import annotations

from typing import Any

from annotation import registering
from annotation.errors import Refused
from annotation.models import LanguageModel
from annotation.questions import OPTIONS
from annotation.running import Hold
from workers.backends import Backend, CannotAnswer, CannotLoad, Rewarder, Sampling, load_backend, load_rewarder
from workers.opening import check_toy

DECLINE = [{"role": "user", "content": "Answer only with NA, and with nothing else."}]
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
        loaded, said = _try(hold, model)
        registering.record_check(
            hold=hold, model=model, is_sound=True, said=said, revision=loaded.revision, digest=loaded.digest
        )
    except Refused as refusal:
        registering.record_check(hold=hold, model=model, is_sound=False, said=str(refusal))
        raise
    return {"model": model.name, "revision": loaded.revision}


def _try(hold: Hold, model: LanguageModel) -> tuple[Backend | Rewarder, str]:
    """Load and ask once. Returns what was loaded, and a sentence."""
    try:
        if model.backend == registering.REWARD:
            return _try_reward(hold, model)
        backend = load_backend(**registering.backend_arguments(model))
        check_toy(model, backend)
        hold.check()
        sampling = Sampling(temperature=0.0, max_tokens=4)
        for _, made in backend.generate([QUESTION], sampling=sampling, seeds=[0], beat=hold.check):
            said = f"Loaded, and answered with {made.token_count} tokens."
            return backend, " ".join(filter(None, [said, _as_a_judge(hold, backend)]))
    except (CannotLoad, CannotAnswer) as error:
        raise Refused(str(error)) from error
    raise Refused("The model was loaded and gave no answer. See the worker's log.")


def _as_a_judge(hold: Hold, backend: Backend) -> str:
    """What to know before it judges; empty where nothing speaks against it. A model that cannot may still write."""
    try:
        [choice] = backend.choose([DECLINE], options=OPTIONS, beat=hold.check)
    except (CannotAnswer, CannotLoad) as error:
        return f"It cannot judge: {error}"
    told = dict(zip(OPTIONS, choice.probabilities.tolist(), strict=True))
    if not any(told.values()):
        return (
            f"It cannot judge as it is: told to answer with NA, it begins with none of {', '.join(OPTIONS)}. Where it "
            "thinks first, switch that off where it is served."
        )
    if not told["NA"]:
        return "Told to answer with NA, it does not: as a judge it may never decline."
    return ""


def _try_reward(hold: Hold, model: LanguageModel) -> tuple[Rewarder, str]:
    """As `_try`, of a reward model."""
    rewarder = load_rewarder(**registering.backend_arguments(model))
    check_toy(model, rewarder)
    hold.check()
    [reward] = rewarder.rewards([[*QUESTION, ANSWER]], beat=hold.check)
    return rewarder, f"Loaded, and gave {reward:.3f} for a short answer."
