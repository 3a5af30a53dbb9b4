"""A database of an earlier version, with what people said in it, is brought up to this one."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.apps import apps as present
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps
from django.utils import timezone
from psycopg import sql

# Before those who settle a pair were kept from judging it, and before rulings had causes.
EARLIER = [("annotation", "0017_reasons_after_the_lock"), ("curation", "0009_facts_arrays")]


@pytest.fixture
def empty_database(transactional_db: None) -> Iterator[None]:
    """A database without a table, in place of the usual one: what becomes of it disturbs no other test."""
    usual = connection.settings_dict["NAME"]
    own = f"{usual}_earlier"
    reach = {key: value for key, value in connection.get_connection_params().items() if key in ("host", "port", "user")}

    def ask(statement: str) -> None:
        with psycopg.connect(**reach, dbname="postgres", autocommit=True) as server:
            server.execute(sql.SQL(statement).format(sql.Identifier(own)))

    ask("DROP DATABASE IF EXISTS {}")
    ask("CREATE DATABASE {} TEMPLATE template0")
    connection.close()
    connection.settings_dict["NAME"] = own
    yield
    connection.close()
    connection.settings_dict["NAME"] = usual
    with suppress(psycopg.errors.ObjectInUse):
        ask("DROP DATABASE {}")


def models_at(nodes: list[tuple[str, str]]) -> StateApps:
    """Migrate an empty database so far, and return the models as they were then."""
    for app, name in nodes:
        call_command("migrate", app, name, verbosity=0)
    return MigrationExecutor(connection).loader.project_state(nodes).apps


class Earlier:
    """Rows as the earlier version wrote them, by its own models."""

    def __init__(self, apps: StateApps) -> None:
        self.apps = apps
        self.project = self.make("annotation.Project", slug="old", name="Old", overlap=2)

    def make(self, model: str, **fields: Any) -> Any:
        return self.apps.get_model(model).objects.create(**fields)

    def annotator(self, name: str, role: str = "annotator") -> Any:
        user = self.make("annotation.User", email=f"{name}@example.org", name=name)
        return self.make("annotation.Annotator", project=self.project, user=user, role=role, name=name)

    def pair(self, n: int) -> Any:
        def digest(text: str) -> bytes:
            return hashlib.sha256(text.encode()).digest()

        asked = self.make(
            "annotation.Prompt",
            project=self.project,
            digest=digest(f"prompt {n}"),
            messages=[{"role": "user", "content": f"Question {n}?"}],
        )
        sides = [
            self.make(
                "annotation.Candidate",
                prompt=asked,
                messages=[{"role": "assistant", "content": f"{side} {n}"}],
                digest=digest(f"{side} {n}"),
                characters=8,
            )
            for side in ("first", "second")
        ]
        return self.make("annotation.Pair", project=self.project, prompt=asked, first=sides[0], second=sides[1], rank=n)

    def judged(self, pair: Any, who: Any, strength: int) -> Any:
        slot = self.apps.get_model("annotation.Assignment").objects.filter(pair=pair).count() + 1
        seat = self.make(
            "annotation.Assignment",
            project=self.project,
            pair=pair,
            annotator=who,
            slot=slot,
            priority=slot,
            done_at=timezone.now(),
        )
        return self.make(
            "annotation.Judgement",
            assignment=seat,
            annotator=who,
            key=uuid.uuid4(),
            verdict="prefer",
            strength=strength,
            swapped=False,
        )

    def ruled(self, pair: Any, who: Any, *outcomes: str) -> Any:
        """What `who` said of a pair, revision after revision; an empty outcome takes back."""
        last = outcomes[-1]
        held = self.make(
            "curation.Adjudication",
            project=self.project,
            pair=pair,
            outcome=last,
            adjudicator=who if last else None,
            settled_at=timezone.now() if last else None,
        )
        for revision, outcome in enumerate(outcomes, start=1):
            note = "Which tone?" if outcome == "unclear" else ""
            self.make(
                "curation.Ruling",
                adjudication=held,
                adjudicator=who,
                revision=revision,
                key=uuid.uuid4(),
                outcome=outcome,
                note=note,
            )
        return held


def test_what_is_known_of_how_an_earlier_version_sampled_is_kept(empty_database):
    from annotation.models import Candidate

    old = Earlier(models_at([("annotation", "0023_shortest_reason")]))
    pair = old.pair(0)
    made = old.apps.get_model("annotation.Candidate").objects
    # Up to 50 tokens the figure was the mean of their entropies; above, minus the mean of their log-probabilities.
    made.filter(pk=pair.first.pk).update(token_count=50, branching_share=0.5)
    made.filter(pk=pair.second.pk).update(token_count=60, branching_share=0.5)
    call_command("migrate", verbosity=0)
    kept = Candidate.objects.order_by("pk").values_list("truncated_log_probability", "truncated_entropies")
    assert list(kept) == [(None, None), (-30.0, None)]


def test_rulings_of_an_earlier_version_hold_and_who_gave_them_is_kept_from_judging(empty_database, tmp_path):
    from annotation.models import Annotator, Assignment, Project
    from curation.models import Adjudication, Ruling
    from curation.releasing import release
    from curation.settling import settle, take_back

    old = Earlier(models_at(EARLIER))
    ada, bea = old.annotator("ada", "adjudicator"), old.annotator("bea", "adjudicator")
    people = [old.annotator(name) for name in ("alice", "bob")]
    settled, unclear, taken, judged_later, open_still = (old.pair(n) for n in range(5))
    for pair in (settled, unclear, taken, judged_later, open_still):
        for who, strength in zip(people, (2, -1), strict=True):
            old.judged(pair, who, strength)
    old.ruled(settled, ada, "second", "", "first")
    old.ruled(unclear, bea, "unclear")
    old.ruled(taken, ada, "tie", "")
    # Nothing kept her from it then: who settled a pair was handed it like anybody else.
    old.ruled(judged_later, ada, "second")
    old.judged(judged_later, ada, 3)
    old.make("curation.Adjudication", project=old.project, pair=open_still)
    columns = ("pk", "adjudication", "adjudicator", "outcome", "note", "revision", "key")
    told = list(Ruling.objects.order_by("pk").values_list(*columns))

    call_command("migrate", verbosity=0)
    for model in present.get_models():
        # Every column that this version reads is there.
        list(model._default_manager.all()[:1])

    assert list(Ruling.objects.order_by("pk").values_list(*columns)) == told
    assert set(Ruling.objects.values_list("cause", flat=True)) == {""}
    recused = Assignment.objects.filter(is_recused=True).order_by("pair")
    assert list(recused.values_list("pair", "annotator", "slot")) == [
        (settled.pk, ada.pk, None),
        (unclear.pk, bea.pk, None),
        (taken.pk, ada.pk, None),
    ]
    with pytest.raises(IntegrityError, match="never_twice"), transaction.atomic():
        Assignment.objects.create(
            project_id=old.project.pk, pair_id=taken.pk, annotator_id=ada.pk, priority=9, done_at=timezone.now()
        )

    # And this version goes on with it: what was ruled decides a release, and can be taken back and ruled again.
    project = Project.objects.get()
    made = release(project=project, version="v1", out=tmp_path / "v1").release
    assert (made.rows, made.manifest["adjudicated"]["pairs"]) == (2, 2)
    now = Annotator.objects.get(pk=ada.pk)
    again = Adjudication.objects.get(pair=settled.pk)
    take_back(adjudication=again, adjudicator=now)
    settle(adjudication=again, adjudicator=now, key=uuid.uuid4(), outcome="tie", cause="style")
    assert list(again.rulings.order_by("revision").values_list("outcome", flat=True)) == [
        *("second", "", "first", "", "tie"),
    ]
