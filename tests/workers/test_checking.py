"""A model is checked by a worker: the register says what was found, and the run says why it failed."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from annotation import registering, renewing, running
from annotation.errors import Refused
from annotation.models import LanguageModel, Run
from tests.workers.asking import PATIENCE
from tests.workers.stub import StubBackend
from workers import checking, tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def alternatives():
    """What the model server says could have been its first token, the likeliest first. Empty: it does not say."""
    return ["Yes", "NA", "A"]


@pytest.fixture
def endpoint(alternatives):
    """A model server that knows one model and answers "Yes."."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._say({"object": "list", "data": [{"id": "house", "object": "model"}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            top = [{"token": token, "logprob": -0.1 - n} for n, token in enumerate(alternatives)]
            logprobs = {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": top}]}
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "Yes"},
                "finish_reason": "stop",
                "logprobs": logprobs if top else None,
            }
            self._say({"id": "1", "model": "house", "choices": [choice], "usage": {"completion_tokens": 1}})

        def _say(self, told):
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def checked(model):
    run = registering.request_check(model=model)
    tasks.run(run.pk)
    run.refresh_from_db()
    model.refresh_from_db()
    return run, model


def test_an_endpoint_that_answers_is_sound(endpoint):
    model = registering.register_model(name="house", backend="openai_compatible", location=endpoint)
    run, model = checked(model)
    assert (run.state, run.error) == ("done", "")
    assert model.is_sound is True
    assert model.check_said == "Loaded, and answered with 1 tokens."


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["<think>", "Okay"], "It cannot judge as it is: told to answer with NA, it begins with none of A, B, NA."),
        # A server that spells it in two tokens offers the first one alone.
        (["N", "A", "B"], "Told to answer with NA, it does not: as a judge it may never decline."),
        ([], "It cannot judge: http://127.0.0.1"),
    ],
    ids=["thinks first", "NA in two tokens", "no log-probabilities"],
)
def test_the_check_says_what_speaks_against_a_model_as_a_judge(endpoint, alternatives, tokens, says):
    alternatives[:] = tokens
    model = registering.register_model(name="house", backend="openai_compatible", location=endpoint)
    run, model = checked(model)
    assert (run.state, model.is_sound) == ("done", True)  # It may still write.
    assert model.check_said.startswith(f"Loaded, and answered with 1 tokens. {says}")


def test_a_second_name_for_a_model_is_refused_and_says_the_first(endpoint):
    """What it is shows only once it is loaded: until then neither has a revision."""
    first = registering.register_model(name="house", backend="openai_compatible", location=endpoint)
    run, first = checked(first)
    assert (run.state, first.is_sound, first.revision) == ("done", True, "as served")
    again = registering.register_model(
        name="the same house", name_there="house", backend="openai_compatible", location=endpoint
    )
    assert checked(again)[0].state == "done"  # Called otherwise there: another entry, for all that is known.
    second = registering.register_model(
        name="again", name_there="house", backend="openai_compatible", location=endpoint
    )
    run, second = checked(second)
    assert (run.state, run.attempt) == ("failed", 1)
    assert run.error == second.check_said
    assert "It is the same model as “the same house”" in run.error
    assert (second.is_sound, second.revision) == (False, "")
    with pytest.raises(Refused, match="the same model as “the same house”"):
        registering.usable_model(registering.allow_model(model=second).name)
    # The first name is as it was, and can be checked again.
    assert checked(again)[0].state == "done"


def test_the_files_of_a_hub_model_are_those_that_were_found_sound_first(monkeypatch):
    asked = []

    def load(**given):
        asked.append(given["digest"])
        loaded = StubBackend()
        loaded.digest, loaded.is_toy = f"sha256:{len(asked)}", False
        return loaded

    monkeypatch.setattr(checking, "load_backend", load)
    model = registering.register_model(name="house/tiny", backend="transformers_local", revision="a" * 40)
    run, model = checked(model)
    assert (run.state, model.digest) == ("done", "sha256:1")
    run, model = checked(model)
    assert (asked, model.digest) == (["", "sha256:1"], "sha256:1")


def test_a_folder_without_a_model_cannot_be_used(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    settings.MODEL_ROOTS = [str(tmp_path)]
    model = registering.register_model(name="none", backend="transformers_local", location="empty")
    run, model = checked(model)
    assert (run.state, model.is_sound) == ("failed", False)
    assert run.error == model.check_said
    assert run.error.endswith(".")


def test_a_root_that_is_not_allowed_any_more_counts_at_the_check_too(settings, tmp_path):
    (tmp_path / "model").mkdir()
    settings.MODEL_ROOTS = [str(tmp_path)]
    model = registering.register_model(name="m", backend="transformers_local", location="model")
    settings.MODEL_ROOTS = [str(tmp_path / "others")]
    run, model = checked(model)
    assert "does not lie under" in run.error
    assert model.is_sound is False


def test_a_model_that_is_gone_is_said_so():
    run = Run.objects.create(kind="check", code_version="t", parameters={"model": 0})
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "The model is not registered any more.")
    assert not LanguageModel.objects.exists()


@pytest.mark.parametrize("backend", ["transformers_local", "reward_local"])
def test_without_torch_a_local_model_is_refused_with_what_to_install(settings, tmp_path, monkeypatch, backend):
    monkeypatch.setattr("config.engine.is_installed", lambda: False)
    (tmp_path / "model").mkdir()
    settings.MODEL_ROOTS = [str(tmp_path)]
    model = registering.register_model(name="big", backend=backend, location="model")
    run, model = checked(model)
    assert (run.state, model.is_sound) == ("failed", False)
    assert run.error == model.check_said
    assert "big is a local model, and what loads it (torch and transformers) is not installed" in run.error
    assert "`make engine`" in run.error


def test_an_endpoint_is_asked_without_torch(endpoint):
    """In a process of its own, that has neither."""
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None)\n"
        "import django; django.setup()\n"
        "from workers import checking, judging, generating, tasks\n"
        "from workers.backends import load_backend\n"
        f"house = load_backend(name='house', kind='openai_compatible', folder_or_url={endpoint!r})\n"
        "print(house.choose([checking.QUESTION], options=('Yes', 'No'))[0].probabilities.round(3))"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr == ""
    assert done.stdout == "[0.905 0.   ]\n"


@pytest.fixture
def a_folder(settings, tmp_path):
    """A tiny model of each kind that loads, by the name of its backend."""
    pytest.importorskip("torch")
    from tests.workers.backends import models
    from tests.workers.backends.test_reward_local import save_rewarder

    settings.MODEL_ROOTS, settings.DEVICE = [str(tmp_path)], "cpu"
    models.save(tmp_path / "transformers_local", "llama")
    save_rewarder(tmp_path / "reward_local")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("backend", "where"),
    [
        ("transformers_local", "workers.backends.transformers_local.AutoModelForCausalLM.from_pretrained"),
        ("transformers_local", "workers.backends.transformers_local.Slots"),
        ("reward_local", "workers.backends.reward_local.AutoModelForSequenceClassification.from_pretrained"),
        ("reward_local", "workers.backends.reward_local.Local._of"),
    ],
    ids=["loaded", "tried out", "a reward model loaded", "a reward model tried out"],
)
def test_a_check_that_is_cancelled_while_the_model_is_loaded_finds_nothing(a_folder, lead, monkeypatch, backend, where):
    """Loading takes minutes, and whoever is interrupted there is no reason to call the model broken."""
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    monkeypatch.setattr(renewing, "GRACE", 0.05)
    model = registering.register_model(name="big", backend=backend, location=backend)

    def slow(*args, **more):
        running.cancel_run(run=Run.objects.get(kind="check"), actor=lead.user)
        for _ in range(int(PATIENCE / 0.01)):
            time.sleep(0.01)

    monkeypatch.setattr(where, slow)
    run, model = checked(model)
    assert (run.state, run.error) == ("cancelled", "")
    assert (model.is_sound, model.check_said) == (None, "")
