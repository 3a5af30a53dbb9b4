"""Every page in a real browser, light and dark, at 320, 768 and 1440 px: axe-core finds nothing, nothing overflows, no
script or policy complains.

Add a page: one line in CASES, naming the URL, who looks, and the state of the project. A state is a function below.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.conftest import PASSWORD, ROOT

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = ROOT / "tests" / "browser" / "vendor" / "axe-4.14.1.min.js"
LOOKS = {
    "wide and light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "narrow and dark": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
}
SIZES = [(1440, 900), (768, 1024), (320, 640)]
LONG = "A name without a single place to break it " + "x" * 60


@dataclass(frozen=True)
class Case:
    """A page: the URL's name, who looks (nobody: not signed in), the project's state, further arguments of the URL."""

    url: str
    who: str = "lead"
    state: str = "empty"
    arguments: dict[str, Any] = field(default_factory=dict)
    query: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.url, self.who, self.state, self.query) if part)


IN_A_PROJECT = {"slug": "everyday"}
CASES = [
    Case("account_login", "nobody"),
    Case("account_signup", "nobody"),
    Case("account_inactive", "nobody"),
    Case("account_reset_password", "nobody"),
    Case("account_reset_password_done", "nobody"),
    Case("enter", "nobody", arguments={"token": "any"}),
    Case("join", "nobody", arguments={"token": "no-such"}),
    Case("join", "nobody", "invited", arguments={"token": "TOKEN"}),
    Case("join", "stranger", "invited", arguments={"token": "TOKEN"}),
    Case("account", "alice"),
    Case("account_token", "alice"),
    Case("account_logout", "alice"),
    Case("account_change_password", "alice"),
    Case("account_reauthenticate", "alice"),
    Case("mfa_index", "alice"),
    Case("project_new"),
    Case("people", state="empty", arguments=IN_A_PROJECT),
    Case("people", state="full", arguments=IN_A_PROJECT),
    Case("people", state="full", arguments=IN_A_PROJECT, query="?q=nobody-is-called-so"),
    Case("settings", state="empty", arguments=IN_A_PROJECT),
    Case("settings", state="full", arguments=IN_A_PROJECT),
    Case("guideline", state="empty", arguments=IN_A_PROJECT),
    Case("guideline", "alice", "empty", arguments=IN_A_PROJECT),
    Case("guideline", state="full", arguments=IN_A_PROJECT),
    Case("guideline", "alice", "full", arguments=IN_A_PROJECT),
    Case("guideline_version", state="full", arguments={**IN_A_PROJECT, "version": 2}),
    Case("guideline_new", state="empty", arguments=IN_A_PROJECT),
    Case("guideline_new", state="full", arguments=IN_A_PROJECT),
    Case("guideline", "stranger", arguments=IN_A_PROJECT),
    Case("projects", state="full"),
    Case("overview", state="empty", arguments=IN_A_PROJECT),
    Case("overview", state="full", arguments=IN_A_PROJECT),
    Case("imports", state="empty", arguments=IN_A_PROJECT),
    Case("runs", state="empty", arguments=IN_A_PROJECT),
    Case("runs", state="working", arguments=IN_A_PROJECT),
    Case("runs", state="working", arguments=IN_A_PROJECT, query="?kind=judge&log=RUN#log-RUN"),
    Case("templates", state="empty", arguments=IN_A_PROJECT),
    Case("templates", state="phrased", arguments=IN_A_PROJECT),
    Case("template", state="empty", arguments={**IN_A_PROJECT, "kind": "judge", "name": "oracle"}),
    Case("template", state="phrased", arguments={**IN_A_PROJECT, "kind": "judge", "name": "oracle"}),
    Case("template", state="phrased", arguments={**IN_A_PROJECT, "kind": "rationale", "name": "unaided"}),
    Case("template_new", state="empty", arguments={**IN_A_PROJECT, "kind": "judge"}),
    Case("template_new", state="empty", arguments={**IN_A_PROJECT, "kind": "value"}),
    Case("template", state="phrased", arguments={**IN_A_PROJECT, "kind": "value", "name": "house"}),
    Case("models", state="working"),
    Case("models", "admin", "working"),
    Case("models", "admin", "empty"),
    Case("board", state="empty", arguments=IN_A_PROJECT),
    Case("board", state="full", arguments=IN_A_PROJECT),
    Case("board_compare", state="empty", arguments=IN_A_PROJECT),
    Case("adjudication", state="empty", arguments=IN_A_PROJECT),
    Case("reports", state="empty", arguments=IN_A_PROJECT),
    Case("discretion", state="empty", arguments=IN_A_PROJECT),
    Case("judges", state="empty", arguments=IN_A_PROJECT),
    Case("releases", state="empty", arguments=IN_A_PROJECT),
    Case("release_new", state="empty", arguments=IN_A_PROJECT),
    Case("release_new", state="full", arguments=IN_A_PROJECT, query="?rule=soft&layout=soft&agreement=0.1"),
    Case("release_new", state="full", arguments=IN_A_PROJECT, query="?where=colour%3Dblue&cuts=half"),
    Case(
        "release_new",
        state="measured",
        arguments=IN_A_PROJECT,
        query="?subset=9&scores=9%3D.5%0A19%3D.6%0A29%3D.62%0A39%3D.63",
    ),
]
CASES += [
    Case(report, state=state, arguments=IN_A_PROJECT)
    for report in (
        "agreement_report",
        "aggregation_report",
        "discretion",
        "people_report",
        "anchoring",
        "faithfulness_report",
    )
    for state in ("empty", "measured")
]
CASES += [
    Case("discretion", state="measured", arguments=IN_A_PROJECT, query="?pin=0,1"),
    Case("people_report", state="measured", arguments=IN_A_PROJECT, query="?names=hidden&sort=left&dir=asc&round=2"),
    Case("people_report", state="measured", arguments=IN_A_PROJECT, query="?enough=1"),
    Case("people_report", state="measured", arguments=IN_A_PROJECT, query="COMPARE"),
]


def empty(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """A project with people and nothing else."""


def invited(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """An open invitation whose token is TOKEN."""
    from annotation.models import Invitation
    from annotation.signing_in import digest_of

    Invitation.objects.create(project=project, token_digest=digest_of("TOKEN"), expires_at="2999-01-01T00:00Z")


def full(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """Pairs, judgements, many people with long names, judges, two versions of the guideline, open invitations."""
    from annotation.guiding import Entry, publish_guideline
    from annotation.inviting import invite
    from annotation.models import Annotator, Assignment, Judgement, Project, User

    lead = cast["lead"].user
    entries = [Entry("Correct", "Claims are true."), Entry(LONG[:100], LONG * 3)]
    publish_guideline(project=project, text="## Decide\n\nWhich is *better*?", principles=entries, actor=lead)
    text = (
        "## Decide\n\nWhich is better?\n\n| Answer | When |\n|---|---|\n| Much | Often |\n\n```python\nprint('"
        + "x" * 200
        + "')\n```"
    )
    publish_guideline(
        project=project, text=text, principles=entries[:1], priority_rules=["Harm first"], change_note=LONG, actor=lead
    )
    Project.objects.filter(pk=project.pk).update(state="paused", description=LONG)
    for n in range(55):
        user = User.objects.create_user(
            f"member-with-a-long-address-{n}@department.example.org", PASSWORD, name=f"{LONG[:80]} {n}"
        )
        Annotator.objects.create(project=project, user=user, name=user.name, is_active=n % 5 > 0)
    Annotator.objects.create(project=project, name=LONG, external_id="a", is_simulated=True)
    Annotator.objects.create(
        project=project, name="GPT", kind="judge", model="m" * 80, prompt_version="2", external_id="b"
    )
    invite(project=project, places=40, actor=lead)
    invite(project=project, role="adjudicator", email="somebody.with.a.long.address@department.example.org", actor=lead)
    for _ in range(4):
        pair = make_pair(into=project, prompt=LONG)
        slot = pair.assignments.order_by("slot")[0]
        Assignment.objects.filter(pk=slot.pk).update(annotator=cast["alice"], done_at=timezone.now())
        Judgement.objects.create(
            assignment=slot, annotator=cast["alice"], key=uuid.uuid4(), verdict="prefer", strength=2, swapped=False
        )


def working(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """Sixty runs in every state, one with a long error; models with long names; nobody serves the queue."""
    from annotation.models import Candidate, LanguageModel, Prompt, Run

    now = timezone.now()
    for n, name in enumerate(("Toy", LONG)):
        LanguageModel.objects.create(
            name=name,
            backend="openai_compatible",
            location=f"http://gpu-{n}.example.org:8000/v1",
            allowed_at=now,
            is_sound=True,
            checked_at=now,
            check_said="Loaded, and answered with 4 tokens.",
            is_toy=n == 0,
        )
    LanguageModel.objects.create(
        name="Broken",
        backend="transformers_local",
        location="/models/" + "x" * 80,
        is_sound=False,
        checked_at=now,
        check_said=LONG,
        check_run=Run.objects.create(kind="check", code_version="t"),
    )
    make_pair(into=project, prompt=LONG)
    held = {"token": uuid.uuid4(), "lease_until": now}
    ended = {"finished_at": now, "busy_seconds": 40.0, "progress": 96, "total": 2448}
    told = {"code_version": "t", "project": project, "parameters": {"models": [LONG], "strategy": "plain", "n": 4}}
    left_out = {"prompts_left_out": 3, "left_out_because": LONG * 2, "pairs": 9, "pairs_left_out": {"identical": 7}}
    states: list[dict[str, Any]] = [
        {"state": "done", "estimate": {"seconds": 36, "low": 29, "high": 45}, **ended, "progress": 2448},
        {"state": "cancelled", **ended},
        {"state": "failed", "error": LONG * 5, **ended},
        {"state": "running", "claimed_at": now, "pace_since": now, "progress": 500, "total": 2448, **held},
        {"state": "waiting", "error": LONG},
        {"state": "done", "result": left_out, **ended},
    ]
    for n in range(60):
        newest = Run.objects.create(kind="generation", log=f"12:00:00 {LONG}", **told, **states[n % len(states)])
    for index in range(12):
        Candidate.objects.create(
            prompt=Prompt.objects.earliest("pk"),
            run=newest,
            index=index,
            messages=[{"role": "assistant", "content": LONG * 30}],
            digest=bytes([index]),
            model=LONG,
            polarity="worse",
            sampling={"temperature": 0.7},
            log_probability_quantiles=[-12345.678] * 11,
            provenance={"toy": True, "thought": LONG * 30, "values": {LONG[:40]: LONG}},
        )


def phrased(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """Many templates with long names and words that cannot be broken, and many versions of two of them."""
    from annotation.phrasing import JUDGE, RATIONALE, VALUE, publish, publish_template
    from annotation.questions import TEMPLATES
    from annotation.reasoning import BUILT_IN

    oracle = TEMPLATES["oracle"]
    parts = {part: getattr(oracle, part) for part in ("system", "user", "system_overall", "user_overall")}
    lead = cast["lead"].user
    for n in range(30):
        told = parts | {"system": f"{n} {LONG * 3}"}
        publish(project=project, kind=JUDGE, name="oracle", parts=told, actor=lead)
        publish(project=project, kind=JUDGE, name=f"{'long-' * 7}{n}x", parts=told, actor=lead)
        publish(project=project, kind=RATIONALE, name="unaided", parts={"text": f"{LONG} {n} {BUILT_IN['unaided']}"})
    publish_template(project=project, name="short", text="{prompt}{chosen}{rejected}", actor=lead)
    lines = [f"{LONG[:40]} {n} > {'x' * 60} > {k}: {LONG}{k}" for n in range(8) for k in range(4)]
    publish(project=project, kind=VALUE, name="house", parts={"text": "\n".join(lines)}, actor=lead)


def measured(project: Any, cast: dict[str, Any], make_pair: Any) -> None:
    """Five people and a judge with long names on forty pairs of two guidelines, and every report of them."""
    from annotation.models import Annotator, Assignment, Guideline, Judgement, Principle, PrincipleVote
    from curation import measuring

    versions = [Guideline.objects.create(project=project, version=n, text="…", html="…") for n in (1, 2)]
    people = [Annotator.objects.create(project=project, name=f"{n} {LONG}", external_id=str(n)) for n in range(5)]
    judge = Annotator.objects.create(project=project, kind="judge", name=f"Judge {LONG}", model="m")
    principles = [Principle.objects.create(project=project, key=key, short=LONG[:90], text=key) for key in "abc"]
    for place in range(40):
        pair = make_pair(into=project, prompt=LONG * 4, slots=0, tags=[LONG[:60]], is_gold=True, label="first")
        for principle, sign in zip(principles, (1, 1 if place < 32 else -1, 0), strict=True):
            vote = {1: "first", -1: "second", 0: "irrelevant"}[sign]
            PrincipleVote.objects.create(annotator=judge, pair=pair, principle=principle, vote=vote)
        for number, who in enumerate([*people, judge]):
            seat = Assignment.objects.create(
                project=project, pair=pair, annotator=who, priority=0, done_at=timezone.now()
            )
            strength = -1 if (place * (number + 2)) % 5 == 0 or (number == 4 and place % 2) else 1
            Judgement.objects.create(
                assignment=seat,
                annotator=who,
                key=uuid.uuid4(),
                verdict="prefer",
                strength=strength,
                swapped=bool(place % 2),
                active_ms=1000 * (place + 5),
                guideline=versions[place % 2],
            )
    answered(project, judge)
    for asked in (
        measuring.AgreementRequest(bootstrap=50),
        measuring.DiscretionRequest(bootstrap=50, resamples=10),
        measuring.PeopleRequest(bootstrap=50, resamples=10),
        measuring.AnchoringRequest(bootstrap=50),
        measuring.AggregationRequest(
            bootstrap=50, by="majority_vote,dawid_skene,one_coin,glad,crowdlab", judge=judge.name
        ),
    ):
        measuring.measure(project=project, asked=asked)
    asked_of_a_model(project, people)


def answered(project: Any, judge: Any) -> None:
    """What the judge gives both candidates of its first thirty pairs, by which some answers change."""
    from annotation.models import JudgeAnswer, Pair, Run

    run = Run.objects.create(project=project, kind="judging", code_version="t")
    for place, pair in enumerate(Pair.objects.filter(project=project).order_by("pk")[:30]):
        first = 0.2 if place % 3 else 0.9
        for swapped in (False, True):
            a = 1 - first if swapped else first
            told = {"probability_a": a, "probability_b": 1 - a, "probability_na": 0.0}
            JudgeAnswer.objects.create(run=run, annotator=judge, pair=pair, swapped=swapped, **told)


def asked_of_a_model(project: Any, people: list[Any]) -> None:
    """What people marked, and a finished run of faithfulness as a worker stores it."""
    import numpy as np

    from annotation.models import Pair, Rationale
    from curation.measuring import FaithfulnessRequest, faithfulness
    from curation.measuring.faithfulness import Answers
    from curation.measuring.growing import Growing
    from tests.workers.holding import held

    pairs = list(Pair.objects.filter(project=project).order_by("pk")[:20])
    for pair in pairs:
        for who in people[:3]:
            Rationale.objects.create(pair=pair, annotator=who, text=LONG)
    asked = FaithfulnessRequest(model=LONG, bootstrap=50)
    hold = held(project, "measurement", asked.as_parameters())
    draw = np.random.default_rng(2)
    n = 60
    whose = np.array([who.pk for _ in pairs for who in people[:3]], dtype=np.int64)
    given = {name: draw.uniform(0.4, 0.6, n) for name in ("without", "only", "told", "untold")}
    answers = Answers(
        annotator=whose, full=draw.uniform(0.6, 0.9, n), perturbed=draw.uniform(0.4, 0.6, (n, 3)), **given
    )
    grown = Growing(draw.uniform(0.6, 0.9, 20), draw.uniform(0.3, 0.6, (20, 5)), draw.uniform(0.3, 0.6, (20, 5)), 7)
    told = {"revision": "r", "toy": True, "not_answered": 2, "pairs_ranked": 20, "pairs_not_answered": 0}
    hold.finish(result=faithfulness.store(hold, asked, answers, grown, result=told))


STATES: dict[str, Callable[..., None]] = {
    "empty": empty,
    "measured": measured,
    "invited": invited,
    "full": full,
    "working": working,
    "phrased": phrased,
}


@pytest.fixture
def cast(lead: Any, alice: Any, stranger: Any, admin: Any) -> dict[str, Any]:
    return {"lead": lead, "alice": alice, "stranger": stranger, "admin": admin, "nobody": None}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_page_is_sound(case: Case, project: Any, cast: dict[str, Any], make_pair: Any, enter: Any) -> None:
    STATES[case.state](project, cast, make_pair)
    newest = project.runs.order_by("-pk").values_list("pk", flat=True).first()
    path = reverse(case.url, kwargs=case.arguments or None) + case.query.replace("RUN", str(newest))
    page = enter(cast[case.who], path, reduced_motion="reduce")
    assert page.locator("h1").count() == 1, f"{path}: one heading of the first level"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert unsound(page) == [], f"{path}, {scheme}"
    if case.state == "measured":
        assert cut_off(page) == [], path


def faults(page: Any, within: str = "html") -> list[str]:
    """What axe-core finds, one line for each element; targets of less than 24 px are among it.

    `within` is a selector: what lies half under a drawer is no target while the drawer is open.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    asked = "{ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }"
    rules = page.evaluate(f"axe.run('{within}', {asked}).then(result => result.violations)")
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in rules for node in rule["nodes"]]


def unsound(page: Any) -> list[str]:
    """What is wrong with a page at any of three widths, in the scheme that it has: one page load serves all."""
    was, found = page.viewport_size, []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{width}: {wide} px wider than the window"] if wide > 0 else []
        found += [f"{width}: {fault}" for fault in faults(page)]
    page.set_viewport_size(was)
    return found


def cut_off(page: Any) -> list[str]:
    """Text that runs out of the window at any of three widths, where nothing scrolls or says so by an ellipsis.

    Where overflow is clipped the page is no wider for it, and `unsound` sees nothing.
    """
    was, found = page.viewport_size, []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        found += [f"{width}: {text}" for text in page.evaluate(BEYOND)]
    page.set_viewport_size(was)
    return found


BEYOND = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const isHeld = home => {
    for (let one = home; one; one = one.parentElement) {
      const { overflowX: over, textOverflow } = getComputedStyle(one);
      if (['auto', 'scroll'].includes(over) || (over === 'hidden' && textOverflow === 'ellipsis')) return true;
    }
    return false;
  };
  for (let node; (node = walk.nextNode());) {
    const home = node.parentElement;
    if (!node.textContent.trim() || !home.checkVisibility() || home.closest('.vh, svg, script')) continue;
    if (isHeld(home)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const right = Math.max(0, ...[...range.getClientRects()].map(box => box.right));
    if (right > innerWidth + 1) found.push(`${Math.round(right - innerWidth)} px of ${node.textContent.trim()}`);
  }
  return found;
}"""


def test_two_people_are_compared_with_the_keyboard(
    enter: Any, lead: Any, cast: Any, project: Any, make_pair: Any
) -> None:
    measured(project, cast, make_pair)
    page = enter(lead, reverse("people_report", args=["everyday"]))
    boxes = page.locator("input[name=who]")
    for place in (0, 1, 2):
        boxes.nth(place).focus()
        page.keyboard.press("Space")
    # Two at most: the first one gave way.
    assert [boxes.nth(place).is_checked() for place in (0, 1, 2)] == [False, True, True]
    page.get_by_role("button", name="Compare two").press("Enter")
    drawer = page.locator("#drawer")
    drawer.wait_for()
    assert page.evaluate("document.activeElement.id") == "drawer"
    assert "in common and agree at kappa" in drawer.inner_text()
    page.keyboard.press("Escape")
    drawer.wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == "cmp"
    cell = page.locator("#kappas td[tabindex='0']")
    cell.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert "pin=" in page.url
    assert page.locator("#kappas td[aria-selected=true]").count() == 1
