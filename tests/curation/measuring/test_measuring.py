"""Asking for a measure: once is enough, whoever presses twice; and with a seed that a run can keep."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from annotation.errors import Refused
from annotation.models import Event, Run
from annotation.running import cancel_run
from curation import measuring
from curation.measuring import AgreementRequest, PeopleRequest, request_measurement
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db


def test_a_run_like_it_that_is_not_done_is_enough(project, lead):
    first = request_measurement(project=project, asked=AgreementRequest(), actor=lead.user)
    assert (first.kind, first.state, first.started_by) == (Run.Kind.MEASUREMENT, Run.State.WAITING, lead.user)
    assert request_measurement(project=project, asked=AgreementRequest()) == first
    others = [
        request_measurement(project=project, asked=AgreementRequest(bootstrap=0)),
        request_measurement(project=project, asked=AgreementRequest(), seed=1),
        request_measurement(project=project, asked=PeopleRequest()),
    ]
    cancel_run(run=first, actor=lead.user)
    again = request_measurement(project=project, asked=AgreementRequest())
    assert len({first, again, *others}) == 5
    assert Event.objects.filter(act="measure.request").count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_who_ask_at_once_ask_for_one_run(project, bells):
    """No worker hears it: a run that is done before the second looks is not waited for, and a second one is right."""
    asked = []

    def second():
        asked.append(request_measurement(project=project, asked=PeopleRequest()))
        connection.close()

    with transaction.atomic():
        asked.append(request_measurement(project=project, asked=PeopleRequest()))
        other = threading.Thread(target=second)
        other.start()
        until_somebody_waits()
    other.join()
    assert asked[0] == asked[1] == Run.objects.get()
    assert len(bells) == 1


@pytest.mark.parametrize("seed", [-1, 2**63, 99999999999999999999])
def test_a_seed_that_no_run_can_keep_is_refused(project, seed):
    for ask in (measuring.measure, request_measurement):
        with pytest.raises(Refused, match="A seed is a whole number from 0 to 9223372036854775807, not"):
            ask(project=project, asked=AgreementRequest(), seed=seed)
    assert not Run.objects.exists()


def test_the_largest_seed_is_one(project):
    assert measuring.measure(project=project, asked=AgreementRequest(), seed=2**63 - 1).state == Run.State.DONE
