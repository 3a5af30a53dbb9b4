"""The commands generate, judge and runs: they say before what it takes, start it, and wait for it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from annotation.models import Event, Principle, Prompt, Run
from tests.annotation.run_pages import sound_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bells")]


@pytest.fixture
def model(admin):
    return sound_model(admin, name="toy")


@pytest.fixture
def prompts(project):
    for n in range(3):
        digest = hashlib.sha256(str(n).encode()).digest()
        Prompt.objects.create(project=project, messages=[{"role": "user", "content": f"{n}?"}], digest=digest)


def say(capsys, *arguments):
    call_command(*arguments)
    return capsys.readouterr().out


def test_generate_says_what_it_takes_and_starts(project, model, prompts, capsys):
    asked = ("generate", "--project", "everyday", "--model", "toy", "-n", "2", "--max-tokens", "10")
    said = say(capsys, *asked, "--estimate")
    assert (
        said == "3 prompts × 2 = 6 candidates, at most 60 tokens. There is no measurement yet of how long that takes.\n"
    )
    assert not Run.objects.exists()
    said = say(capsys, *asked, "--seed", "5")
    run = Run.objects.get()
    assert f"Run {run.pk} is waiting for a worker." in said
    assert (run.kind, run.seed, run.started_by, run.parameters["n"]) == ("generation", 5, None, 2)
    assert Event.objects.get(act="run.generate").actor == "generate"


def test_judge_starts(project, model, make_pair, capsys):
    make_pair()
    assert "2 calls" in say(capsys, "judge", "--project", "everyday", "--model", "toy", "--ask", "overall")
    assert Run.objects.get().parameters["asks"] == ["overall"]


def typed(options):
    return [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def test_all_of_a_plan_can_be_said_on_the_command_line(project, model, prompts, make_pair, capsys):
    given = {"strategy": "best_worst_of_n", "limit": 2, "scorer": "judge", "scorer_model": "toy"}
    given |= {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "max_tokens": 20, "near": 1.0}
    given |= {"pairing": "sampled", "per_prompt": 2}
    asked = ("generate", "--project", "everyday", "--model", "toy", "-n", "3", "--stop", "END")
    said = say(capsys, *asked, *typed(given))
    assert "the best of 3 beats one plain sample in 75 % of meetings" in said
    found = Run.objects.get(kind="generation").parameters
    assert {name: found[name] for name in given} == given
    assert (found["models"], found["n"], found["stop"]) == (["toy"], 3, ["END"])

    make_pair()
    judged = ("judge", "--project", "everyday", "--model", "toy", "--ask", "overall")
    given = {"limit": 1, "injection_limit": 7, "max_tokens": 30, "temperature": 0.1}
    say(capsys, *judged, *typed(given))
    found = Run.objects.get(kind="judging").parameters
    assert {name: found[name] for name in given} == given
    for other in ("--generation", "--source"):
        with pytest.raises(CommandError, match="No pair of this project fits"):
            call_command(*judged, other, "1")


def test_generate_draws_system_messages_from_a_list(project, model, prompts, capsys):
    asked = ("generate", "--project", "everyday", "--model", "toy", "-n", "2", "--strategy", "janus")
    say(capsys, *asked, "--values", "janus-1")
    assert Run.objects.get().parameters["values"] == "janus-1"
    with pytest.raises(CommandError, match=r"There is no list of values 'house'. Known are: janus\."):
        call_command(*asked, "--values", "house")
    with pytest.raises(CommandError, match="The strategy Plain sampling draws no values"):
        call_command(*asked[:-1], "plain", "--values", "janus")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("generate", "--project", "nowhere", "--model", "toy"), "There is no project 'nowhere'"),
        (("generate", "--project", "everyday", "--model", "nobody"), "There is no model “nobody”"),
        (("generate", "--project", "everyday", "--model", "toy", "--strategy", "guess"), "no strategy 'guess'"),
        (("generate", "--project", "everyday", "--model", "toy", "--prompts", "some"), "no choice of prompts 'some'"),
        (("judge", "--project", "everyday", "--model", "toy", "--ask", "overall"), "No pair of this project fits"),
        (("runs", "--cancel", "7"), "There is no run 7"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(project, model, prompts, arguments, says):
    with pytest.raises(CommandError, match=says):
        call_command(*arguments)
    assert not Run.objects.exists()


def test_runs_are_listed_cancelled_and_retried(project, capsys):
    run = Run.objects.create(
        project=project,
        kind="generation",
        code_version="t",
        progress=3,
        total=12,
        parameters={"models": ["toy"], "strategy": "plain", "n": 4},
        log="12:00:00 loading toy",
    )
    Run.objects.create(kind="check", code_version="t", parameters={"model": 99})
    line = f"{run.pk} · Generate · toy · plain × 4 · waiting · 3 of 12\n"
    assert say(capsys, "runs", "--project", "everyday") == line
    assert len(say(capsys, "runs").splitlines()) == 2
    assert json.loads(say(capsys, "runs", "--project", "everyday", "--json"))["progress"] == 3
    assert say(capsys, "runs", "--log", str(run.pk)) == "12:00:00 loading toy\n"
    assert say(capsys, "runs", "--cancel", str(run.pk)) == f"Run {run.pk} is cancelled.\n"
    assert say(capsys, "runs", "--pair", str(run.pk)) == f"Run {run.pk} is waiting for a worker.\n"
    assert Run.objects.get(pk=run.pk).parameters["only_pair"] is True
    say(capsys, "runs", "--cancel", str(run.pk))
    assert say(capsys, "runs", "--retry", str(run.pk)) == f"Run {run.pk} is waiting for a worker.\n"
    assert Run.objects.get(pk=run.pk).parameters["only_pair"] is False


def test_waiting_ends_with_the_run_and_tells_how(project, capsys, monkeypatch):
    run = Run.objects.create(project=project, kind="measurement", code_version="t", total=2)
    states: Any = iter([{"progress": 1}, {"state": "failed", "error": "No memory.", "finished_at": timezone.now()}])
    monkeypatch.setattr(
        "annotation.awaiting.time.sleep", lambda _: Run.objects.filter(pk=run.pk).update(**next(states))
    )
    with pytest.raises(SystemExit) as ended:
        call_command("runs", "--wait", str(run.pk))
    assert ended.value.code == 1
    said = [line.split(" · ", 2)[-1] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "waiting · 0 of 2",
        "waiting · 1 of 2",
        "failed · 1 of 2 · No memory.",
    ]


def test_judge_asks_for_reasons_without_help_by_the_template_that_does_so(project, model, make_pair, capsys):
    make_pair()
    asked = ("judge", "--project", "everyday", "--model", "toy", "--ask", "rationales", "--about", "unaided")
    say(capsys, *asked)
    assert Run.objects.get().parameters["rationales"] == ["unaided-1"]
    with pytest.raises(CommandError, match=r"“specific” gives the verdict away.* Name one that does so: unaided"):
        call_command(*asked, "--rationale", "specific")
    assert Run.objects.count() == 1


def test_judge_asks_about_the_principles_that_are_named(project, model, make_pair, capsys):
    make_pair()
    made = [Principle.objects.create(project=project, key=key, short=key, text=".") for key in ("kind", "true")]
    twin = Principle.objects.create(project=project, source="other list", key="true", short="true", text=".")
    asked = ("judge", "--project", "everyday", "--model", "toy", "--ask", "principles")
    assert "1 pair, each question in both orders: 4 calls" in say(
        capsys, *asked, "--principle", "kind", "--principle", str(twin.pk)
    )
    assert Run.objects.get().parameters["principles"] == [made[0].pk, twin.pk]
    with pytest.raises(CommandError, match=rf"Several principles have the key 'true'.* {made[1].pk}, {twin.pk}\."):
        call_command(*asked, "--principle", "true")
    with pytest.raises(CommandError, match=r"no principle 'honest'. Known are: kind, true\."):
        call_command(*asked, "--principle", "honest")
    with pytest.raises(CommandError, match="not asked about principles"):
        call_command(*asked[:-1], "overall", "--principle", "kind")
    assert Run.objects.count() == 1
