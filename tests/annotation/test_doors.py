"""Who may enter where: every address of the product against the table in SECURITY.md."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.authtoken.models import Token

from annotation.models import (
    Annotator,
    Assignment,
    Candidate,
    Guideline,
    Invitation,
    Judgement,
    LanguageModel,
    Lineup,
    Ranking,
    Run,
    Turn,
    User,
)
from tests.conftest import PASSWORD, ROOT

TABLE = ROOT / "SECURITY.md"
WORDS = {"everyone", "signed in", "seat", "member", "adjudicator", "lead", "founder", "admin", "nobody", "–"}
OUTSIDE = {"anonymous", "disabled"}
# Who gets in, by the table's word, of those who are signed in.
INSIDE = {
    "everyone": {"annotator", "adjudicator", "lead", "stranger", "admin"},
    "signed in": {"annotator", "adjudicator", "lead", "stranger", "admin"},
    "seat": {"annotator", "adjudicator", "lead"},
    "member": {"annotator", "adjudicator", "lead", "admin"},
    "adjudicator": {"adjudicator", "lead", "admin"},
    "lead": {"lead", "admin"},
    "founder": {"lead", "stranger", "admin"},
    "admin": {"admin"},
    "nobody": set(),
    "–": set(),
}


def rows() -> dict[str, dict[str, str]]:
    found = {}
    row = re.compile(r"^\| `+(.*?)`+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
    for address, get, post, change in row.findall(TABLE.read_text()):
        found[address.strip()] = {"GET": get, "POST": post, "PUT": change, "DELETE": change}
    return found


def addresses(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        here = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield "admin/…" if here.startswith("admin/") else re.sub(r"<\w+:(\w+)>", r"<\1>", here)
        else:
            yield from addresses(entry, here)


@dataclass
class House:
    """One project with one of everything, and the seven people who knock at its doors."""

    accounts: dict[str, User | None]
    arguments: dict[str, Any]
    assignments: dict[str, int]
    turns: dict[str, int]

    def client(self, who: str) -> Client:
        client = Client(raise_request_exception=False)
        account = self.accounts[who]
        if account is not None:
            client.force_login(account, backend="annotation.signing_in.Backend")
        return client


@pytest.fixture
def house(
    project: Any,
    lead: Any,
    alice: Any,
    adjudicator: Any,
    admin: Any,
    stranger: Any,
    make_pair: Any,
    settings: Any,
    tmp_path: Path,
) -> House:
    from curation.models import Adjudication, Release, Selection

    gone = User.objects.create_user("gone@example.org", PASSWORD, name="Gone")
    Annotator.objects.create(project=project, user=gone, name="Gone", role="lead")
    gone.is_active = False
    gone.save()
    other = User.objects.create_user("zoe@example.org", PASSWORD, name="Zoe")
    seat = Annotator.objects.create(project=project, user=other, name="Zoe")
    project.guideline = Guideline.objects.create(project=project, version=1, text="Be fair.", html="<p>Be fair.</p>")
    project.save()
    invitation = Invitation.objects.create(
        project=project, token_digest="0" * 64, expires_at="2999-01-01T00:00Z", created_by=lead.user
    )
    run = Run.objects.create(
        project=project, kind="import", code_version="test", started_by=lead.user, parameters={"file": "a.jsonl"}
    )
    model = LanguageModel.objects.create(name="Toy", backend="openai_compatible", location="http://localhost:1/v1")
    release_run = Run.objects.create(
        project=project, kind="release", code_version="test", started_by=lead.user, parameters={"release": "1.1.0"}
    )
    folder = tmp_path / "releases" / "1.0.0"
    folder.mkdir(parents=True)
    for name in ("README.md", "manifest.json", "SHA256SUMS"):
        (folder / name).write_text("# Card")
    Release.objects.create(
        project=project,
        version="1.0.0",
        rule="majority",
        layout="trl_dpo",
        manifest={"files": [{"path": "README.md"}]},
        digest="0" * 64,
        rows=0,
        folder=str(folder),
    )
    assignments = {}
    for who, member in {"annotator": alice, "adjudicator": adjudicator, "lead": lead}.items():
        pair = make_pair(slots=1)
        Assignment.objects.filter(pair=pair).update(annotator=member, done_at=timezone.now())
        answered = Assignment.objects.get(pair=pair)
        Judgement.objects.create(
            assignment=answered, annotator=member, key=uuid.uuid4(), verdict="tie", strength=0, swapped=False
        )
        assignments[who] = answered.pk
    turns = ranked_by(pair, {"annotator": alice, "adjudicator": adjudicator, "lead": lead})
    accounts = {
        "anonymous": None,
        "disabled": gone,
        "annotator": alice.user,
        "adjudicator": adjudicator.user,
        "lead": lead.user,
        "stranger": stranger.user,
        "admin": admin,
    }
    for account in accounts.values():
        if account is not None:
            Token.objects.create(user=account)
            TOTP.activate(account, "A" * 32)
            RecoveryCodes.activate(account)
    arguments = {
        "slug": project.slug,
        "invitation_id": invitation.pk,
        "annotator_id": seat.pk,
        "version": "1.0.0",
        "run_id": run.pk,
        "model_id": model.pk,
        "release_run_id": release_run.pk,
        "prompt_id": pair.prompt_id,
        "pair_id": pair.pk,
        "adjudication_id": Adjudication.objects.create(project=project, pair=pair).pk,
        "selection_id": Selection.objects.create(project=project, name="kept").pk,
        # Nobody's: whoever may knock is told so in a sentence.
        "offer_id": 1,
        "token": "no-such-token",
        "key": "set-password",
        "kind": "judge",
        "uidb36": "1",
        "name": "README.md",
    }
    return House(accounts=accounts, arguments=arguments, assignments=assignments, turns=turns)


def ranked_by(pair: Any, members: dict[str, Any]) -> dict[str, int]:
    """A lineup, and a ranking of it by each member: their turns."""
    third = Candidate.objects.create(prompt=pair.prompt, messages=[], digest=b"third")
    shown = [pair.first_id, pair.second_id, third.pk]
    lineup = Lineup.objects.create(project=pair.project, prompt=pair.prompt, candidates=shown, rank=1)
    turns = {}
    for slot, (who, member) in enumerate(members.items(), start=1):
        turn = Turn.objects.create(lineup=lineup, slot=slot, annotator=member, shown=shown, done_at=timezone.now())
        Ranking.objects.create(turn=turn, annotator=member, key=uuid.uuid4(), shown=shown, ranks=[1, 2, None])
        turns[who] = turn.pk
    return turns


def path_of(address: str, house: House, who: str) -> str:
    arguments = {**house.arguments, "assignment_id": house.assignments.get(who, house.assignments["annotator"])}
    arguments["turn_id"] = house.turns.get(who, house.turns["annotator"])

    if "/guideline/" in address:
        arguments["version"] = 1
    if "/templates/" in address:
        arguments["name"] = "oracle"
    if "/releases/new/" in address:
        arguments["run_id"] = arguments["release_run_id"]
    plain = re.sub(r"(?<!\?P)<(\w+)>", lambda match: str(arguments[match.group(1)]), address)
    plain = re.sub(r"\(\?P<(\w+)>(?:\[[^]]*\]\+|\.\+)\)", lambda match: str(arguments[match.group(1)]), plain)
    return "/" + plain.replace("^", "").replace("$", "")


def body_of(answer: Any) -> bytes:
    """The whole body. A file that is sent and not read stays open."""
    return b"".join(answer) if answer.streaming else answer.content


def outcome(answer: Any) -> str:
    where = answer.headers.get("Location", "")
    if answer.status_code == 401 or (answer.status_code in (302, 303) and where.startswith("/accounts/login/")):
        return "sign in"
    if answer.status_code in (403, 404):
        return "not there"
    if answer.status_code == 405:
        return "not accepted"
    return "open" if answer.status_code < 500 else f"error {answer.status_code}"


def expected(word: str, who: str) -> set[str]:
    if word == "–":
        return {"not accepted", "sign in", "not there"}
    if word == "nobody":
        return {"not there", "sign in"}
    if who in OUTSIDE:
        return {"open"} if word == "everyone" else {"sign in"}
    return {"open"} if who in INSIDE[word] else {"not there"}


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    there, written = set(addresses(get_resolver())), set(rows())
    assert there - written == set(), "These addresses have no row in SECURITY.md: who may enter there?"
    assert written - there == set(), "These rows of SECURITY.md have no address any more."
    assert {word for row in rows().values() for word in row.values()} <= WORDS


def test_every_door_opens_to_those_in_the_table_and_to_nobody_else(house: House) -> None:
    wrong = []
    clients = {who: house.client(who) for who in house.accounts}
    cookies = {who: client.cookies.output(header="").strip() for who, client in clients.items()}
    headers = {
        who: {"Authorization": f"Token {Token.objects.get(user=account).key}"} if account else {}
        for who, account in house.accounts.items()
    }
    for address, row in rows().items():
        if address == "admin/…":
            continue
        for method, word in row.items():
            for who, client in clients.items():
                if method in ("PUT", "DELETE") and not address.startswith("api/") and who not in ("anonymous", "lead"):
                    continue  # No page knows them; two people who are refused are enough.
                path = path_of(address, house, who)
                # Each knock is the first: nothing of the one before stays in database, cookies or rate limits.
                client.cookies = SimpleCookie(cookies[who])
                cache.clear()
                with transaction.atomic():
                    if address.startswith("api/"):
                        answer = client.generic(
                            method, path, data="{}", content_type="application/json", headers=headers[who]
                        )
                    else:
                        answer = client.generic(method, path, content_type="application/x-www-form-urlencoded")
                    body_of(answer)
                    transaction.set_rollback(True)
                seen = outcome(answer)
                # One column stands for two methods: the one that a page does not know is refused.
                refused = method in ("PUT", "DELETE") and seen == "not accepted"
                if seen not in expected(word, who) and not refused:
                    wrong.append(f"{method} {path} by {who}: {seen} ({answer.status_code}), the table says {word}")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    "model", ["", "annotation/user/", "annotation/event/", "annotation/judgement/", "annotation/project/"]
)
def test_the_admin_pages_are_for_site_admins(house: House, model: str) -> None:
    for who in house.accounts:
        answer = house.client(who).get(f"/admin/{model}", follow=False)
        if answer.status_code == 302:
            answer = house.client(who).get(answer.headers["Location"])
        assert outcome(answer) == ("open" if who == "admin" else "sign in" if who in OUTSIDE else "not there"), who


def test_a_stranger_and_a_missing_object_get_the_same_page(house: House) -> None:
    """Byte for byte, but for the nonce: the answer must not tell whether the project exists."""
    for address in ("p/{}/people", "p/{}/", "p/{}/judge", "p/{}/guideline", "p/{}/settings", "p/{}/guideline/1"):
        for who in ("stranger", "annotator", "admin"):
            client = house.client(who)
            seen = client.get("/" + address.format(house.arguments["slug"]))
            if seen.status_code != 404:
                continue
            missing = client.get("/" + address.format("no-such-project"))
            assert missing.status_code == 404
            assert _without_nonce(seen) == _without_nonce(missing)


def _without_nonce(answer: Any) -> bytes:
    return re.sub(rb'nonce="[^"]*"', b"", answer.content)


def test_objects_of_another_project_are_not_there(house: House, lead: Any, stranger: Any, sign_in: Any) -> None:
    """A lead of one project names objects of another under their own slug."""
    mine = stranger.project.slug
    client = sign_in(stranger)
    arguments = house.arguments
    for path in (
        f"/p/{mine}/people/{arguments['annotator_id']}/role",
        f"/p/{mine}/people/{arguments['annotator_id']}/close",
        f"/p/{mine}/people/invitations/{arguments['invitation_id']}/withdraw",
        f"/p/{mine}/answers/{house.assignments['annotator']}",
    ):
        assert client.post(path).status_code == 404, path
    assert client.get(f"/p/{mine}/guideline/1").status_code == 404
    assert Annotator.objects.get(pk=arguments["annotator_id"]).is_active
    assert Invitation.objects.get(pk=arguments["invitation_id"]).withdrawn_at is None


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(lead: Any, sign_in: Any, project: Any) -> None:
    client = sign_in(lead)
    assert client.get(f"/p/{project.slug}/people").status_code == 200
    Annotator.objects.filter(pk=lead.pk).update(role="annotator")
    assert client.get(f"/p/{project.slug}/people").status_code == 404
    assert client.get(f"/p/{project.slug}/guideline").status_code == 200
    Annotator.objects.filter(pk=lead.pk).update(is_active=False)
    assert client.get(f"/p/{project.slug}/guideline").status_code == 404


def test_numbers_larger_than_any_key_are_not_there(lead: Any, sign_in: Any, project: Any) -> None:
    client = sign_in(lead)
    huge = 2**70
    assert client.post(f"/p/{project.slug}/people/{huge}/close").status_code == 404
    assert client.post(f"/p/{project.slug}/people/invitations/{huge}/withdraw").status_code == 404
    assert client.get(f"/p/{project.slug}/guideline/{huge}").status_code == 404
    assert client.get(f"/p/{project.slug}/guideline/{2**31}").status_code == 404


def parameters_read() -> list[str]:
    """Every name that some view takes out of an address."""
    views = [path for app in ("annotation", "curation") for path in (ROOT / app / "views").glob("*.py")]
    return sorted({name for path in views for name in re.findall(r'GET\.get(?:list)?\("(\w+)"', path.read_text())})


def test_no_page_falls_over_a_nul_in_its_address(house: House) -> None:
    """The database keeps no such character, and says so with an error that no page expects."""
    fell = []
    asked = "&".join(f"{name}=a%00b" for name in parameters_read())
    assert "q=" in asked
    client = house.client("lead")
    for address, row in rows().items():
        if address == "admin/…" or address.startswith("api/") or row["GET"] == "–":
            continue
        path = f"{path_of(address, house, 'lead')}?{asked}"
        with transaction.atomic():
            answer = client.get(path)
            body_of(answer)
            transaction.set_rollback(True)
        if answer.status_code >= 500:
            fell.append(path)
    assert fell == []


HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


def test_every_answer_carries_the_security_headers(house: House) -> None:
    for who in ("anonymous", "lead"):
        client = house.client(who)
        for address in rows():
            path = "/admin/" if address == "admin/…" else path_of(address, house, who)
            with transaction.atomic():
                answer = client.get(path)
                body_of(answer)
                transaction.set_rollback(True)
            for header, value in HEADERS.items():
                assert answer.headers.get(header) == value, (path, header)
            assert answer.headers["Cache-Control"], path
            policy = answer.headers["Content-Security-Policy"]
            for part in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"):
                assert part in policy, (path, part)
            assert "unsafe" not in policy, path


def test_no_page_has_inline_script_or_style(house: House) -> None:
    """The policy would stop them; a page that needs them is broken."""
    for who in ("anonymous", "annotator", "lead"):
        client = house.client(who)
        for address, row in rows().items():
            if row["GET"] in ("–", "nobody") or address.startswith(("api/", "admin/")):
                continue
            with transaction.atomic():
                answer = client.get(path_of(address, house, who))
                body_of(answer)
                transaction.set_rollback(True)
            if not answer.headers.get("Content-Type", "").startswith("text/html"):
                continue
            page = body_of(answer).decode()
            assert re.search(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", page) is None, address
            assert re.search(r"<script(?![^>]*\b(?:nonce=|type=\"application/json\"))", page) is None, address
            assert re.search(r"<style|\sstyle=|\son\w+=\"", page) is None, address


def test_unsafe_requests_need_the_token_of_the_page(house: House) -> None:
    client = Client(enforce_csrf_checks=True)
    account = house.accounts["lead"]
    assert account is not None
    client.force_login(account, backend="annotation.signing_in.Backend")
    for address, row in rows().items():
        if row["POST"] in ("–", "nobody") or address.startswith(("api/", "admin/")):
            continue
        answer = client.post(path_of(address, house, "lead"))
        assert answer.status_code == 403, address
        assert b"The page was too old" in answer.content, address
