"""The compose file and the image: valid, without a default secret, and every variable is one that something reads."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import yaml
from django.conf import settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("web", "worker-cpu", "worker-gpu")
# What the images of others document themselves.
THEIRS = {"postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}, "redis": {"REDISCLI_AUTH"}}
REFERENCE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH")


def text_of(value):
    """Every string in a part of the file."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in text_of(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in text_of(inner)]
    return [str(value)]


def fill(text, given):
    """What compose makes of a string: ${NAME:?sentence} must be given, ${NAME:-default} may be."""

    def one(match):
        name, operator, rest = match.groups()
        if given.get(name):
            return given[name]
        assert operator == ":-", f"{name} has to be given: {rest}"
        return rest

    return REFERENCE.sub(one, text).replace("$$", "$")


GIVEN = {
    "POSTGRES_PASSWORD": "quiet7Harbour",
    "REDIS_PASSWORD": "slow9Lantern",
    "PLUMBLINE_SECRET_KEY": "k3" + "abcdefghijklmnopqrstuvwxyz0123456789" * 2,
    "PLUMBLINE_HOSTS": "plumbline.example.org",
}


def test_the_five_services_are_there():
    assert set(SERVICES) == {"postgres", "redis", "web", "worker-cpu", "worker-gpu"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_health_check_restarts_and_names_its_image(name):
    service = SERVICES[name]
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= set(check)
    assert service["restart"] == "unless-stopped"
    image = service["image"]
    assert re.fullmatch(r"[a-z-]+:(\d+(-alpine)?|\$\{TAG:-local\})", image)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_that_is_set_is_one_that_settings_read(name):
    assert set(SERVICES[name]["environment"]) <= set(settings.KNOWN)
    assert {"DATABASE_URL", "BROKER_URL", "PLUMBLINE_SECRET_KEY", "PLUMBLINE_HOSTS"} <= set(
        SERVICES[name]["environment"]
    )


@pytest.mark.parametrize("name", THEIRS)
def test_variables_of_other_images_are_their_documented_ones(name):
    assert set(SERVICES[name]["environment"]) == THEIRS[name]


def test_no_secret_has_a_default():
    references = [match.groups() for text in text_of(COMPOSE) for match in REFERENCE.finditer(text)]
    secrets = [reference for reference in references if SECRET.search(reference[0])]
    assert {name for name, _, _ in secrets} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "PLUMBLINE_SECRET_KEY"}
    for name, operator, sentence in secrets:
        assert operator == ":?", f"{name} has a default."
        assert sentence.startswith(f"Set {name} to ")


def test_no_secret_is_written_down():
    """What is left after the references are taken out holds no password of a URL and no value of a secret variable."""
    for service in SERVICES.values():
        for variable, value in service["environment"].items():
            bare = REFERENCE.sub("", str(value))
            assert not SECRET.search(variable) or bare == "", variable
            assert not re.search(r"://[^/@]*:[^@]+@", bare), variable


def test_only_the_web_server_has_a_port_and_only_for_this_machine():
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"web"}
    assert [fill(port, {}) for port in SERVICES["web"]["ports"]] == ["127.0.0.1:8000:8000"]


def test_what_must_outlive_a_container_lies_in_a_volume():
    mounted = {name: [volume.split(":")[0] for volume in service["volumes"]] for name, service in SERVICES.items()}
    assert mounted == {
        "postgres": ["postgres"],
        "redis": ["redis"],
        "web": ["state"],
        "worker-cpu": ["state"],
        "worker-gpu": ["state"],
    }
    assert set(COMPOSE["volumes"]) == {"postgres", "redis", "state"}


def test_each_service_waits_for_what_it_needs():
    waits = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert waits["web"] == {"postgres", "redis"}
    assert waits["worker-cpu"] == waits["worker-gpu"] == {"web"}
    for service in SERVICES.values():
        assert all(need == {"condition": "service_healthy"} for need in service.get("depends_on", {}).values())


def test_the_gpu_worker_reserves_a_gpu_and_starts_on_request_only():
    gpu = SERVICES["worker-gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["build"]["target"] == "gpu"


def test_commands_name_programs_of_the_image_and_known_queues():
    from config.celery import CPU, GPU

    assert SERVICES["worker-cpu"]["command"] == ["docker/worker", CPU]
    assert SERVICES["worker-gpu"]["command"] == ["docker/worker", GPU]
    for program in ("docker/worker", "docker/web"):
        assert os.access(ROOT / program, os.X_OK)
    refused = subprocess.run([ROOT / "docker/worker", "dance"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "cpu or gpu" in refused.stderr


def test_settings_start_with_what_compose_gives():
    """The variables of the web service, filled in as compose does it, are settings that load."""
    environment = {name: fill(str(value), GIVEN) for name, value in SERVICES["web"]["environment"].items()}
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "from django.conf import settings as s\n"
        "d = s.DATABASES['default']\n"
        "print(s.EMBEDDED, s.DEBUG, s.HTTPS, s.LEADS_NEED_TOTP, s.ALLOWED_HOSTS, s.CSRF_TRUSTED_ORIGINS)\n"
        "print(d['HOST'], d['NAME'], d['PASSWORD'], s.CELERY_BROKER_URL)"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "False False True True ['plumbline.example.org'] []"
    assert second == "postgres plumbline quiet7Harbour redis://:slow9Lantern@redis:6379/0"
    assert urllib.parse.urlsplit(environment["BROKER_URL"]).password == "slow9Lantern"


# ---- the image -----------------------------------------------------------------------------------------------------

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
STEPS = [line.split(None, 1) for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]


def test_the_image_has_both_targets_and_ends_as_an_ordinary_user():
    assert [rest.split() for word, rest in STEPS if word == "FROM"] == [
        ["python:3.11-slim", "AS", "web"],
        ["web", "AS", "gpu"],
    ]
    users = [rest for word, rest in STEPS if word == "USER"]
    assert users[0] == users[-1] == "plumbline"


def test_the_image_starts_programs_that_are_there_and_sets_known_variables():
    for word, rest in STEPS:
        if word == "CMD":
            assert (ROOT / yaml.safe_load(rest)[0]).exists()
        if word == "COPY":
            *sources, _ = shlex.split(rest)
            assert all((ROOT / source).exists() for source in sources)
        if word == "ENV":
            names = {pair.split("=")[0] for pair in shlex.split(rest)}
            assert {name for name in names if name.startswith("PLUMBLINE_")} <= set(settings.KNOWN)
            assert not any(SECRET.search(name) for name in names)


def test_the_image_takes_the_same_installer_as_make_setup():
    (version,) = set(re.findall(r"uv==([\d.]+)", DOCKERFILE))
    assert f"UV_VERSION={version}" in (ROOT / ".ci" / "install").read_text()


def test_the_image_holds_no_state_and_no_history():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "var", ".env"} <= set(ignored)


def test_the_health_check_asks_for_a_served_host_over_https():
    """The check in the container meets the same doors as the proxy: host names and https are not waived for it."""
    import http.server
    import threading

    seen = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["Host"], self.headers["X-Forwarded-Proto"]))
            self.send_response(200 if len(seen) == 1 else 503)
            self.end_headers()
            self.wfile.write(b"the database does not answer")

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = (ROOT / "docker" / "healthy.py").read_text()
        code = code.replace("127.0.0.1:8000", f"127.0.0.1:{server.server_port}")
        environment = {**os.environ, "PLUMBLINE_HOSTS": ".plumbline.example.org,other.example.org"}
        runs = [
            subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
            for _ in range(2)
        ]
        server.shutdown()
    assert seen == [("/health", "plumbline.example.org", "https")] * 2
    assert [run.returncode for run in runs] == [0, 1]
    assert "the database does not answer" in runs[1].stderr
