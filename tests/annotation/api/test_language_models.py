"""The register of models over the API: site admins read it, nobody else."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from annotation.models import LanguageModel

pytestmark = pytest.mark.django_db

URL = "/api/v1/models"


@pytest.fixture
def register(admin):
    now = timezone.now()
    at = {"backend": "openai_compatible", "registered_by": admin}
    LanguageModel.objects.create(name="New", location="http://h/v1", **at)
    sound = {"is_sound": True, "checked_at": now, "check_said": "Loaded.", "allowed_at": now, "allowed_by": admin}
    LanguageModel.objects.create(name="House", location="http://h/v1", name_there="owner/name", **at, **sound)


@pytest.fixture
def client(admin):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=admin).key}")
    return client


def test_an_admin_lists_what_there_is_and_what_a_check_found(client, register):
    new, house = client.get(URL).json()["results"]
    assert (new["name"], new["is_sound"], new["is_usable"], new["check_run"]) == ("New", None, False, None)
    assert (house["name_there"], house["check_said"], house["is_usable"]) == ("owner/name", "Loaded.", True)
    page = client.get(f"{URL}?limit=1").json()
    assert [one["name"] for one in client.get(f"{URL}?after={page['next']}").json()["results"]] == ["House"]
    assert client.get(f"{URL}?name=House").status_code == 400
    assert client.post(URL, {"name": "x"}, format="json").status_code == 405


def test_an_admin_without_the_second_factor_that_is_asked_for_does_not(client, register, settings):
    settings.LEADS_NEED_TOTP = True
    answer = client.get(URL)
    assert (answer.status_code, "second factor" in answer.json()["detail"]) == (403, True)


def test_to_others_there_is_no_register(api, register, lead, alice, stranger):
    for who in (lead, alice, stranger):
        assert api(who).get(URL).status_code == 404


def test_the_number_of_queries_does_not_grow(client, register, django_assert_max_num_queries):
    for n in range(30):
        LanguageModel.objects.create(name=f"m{n}", backend="openai_compatible", location=f"http://h/{n}")
    with django_assert_max_num_queries(4):
        assert len(client.get(URL).json()["results"]) == 32
