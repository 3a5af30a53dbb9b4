"""Pushing to a stand-in for the hub: it speaks the hub's own endpoints, on this machine."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from annotation.errors import Refused
from annotation.models import Event
from curation.pushing import push
from curation.releasing import release

pytestmark = [pytest.mark.gpu_stack, pytest.mark.usefixtures("same_connection")]
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "hf_only-in-the-environment"

UPLOAD = """
import os, sys
from pathlib import Path
from curation.export.hub import NotTaken, upload
try:
    print(upload(Path(sys.argv[1]), repo=sys.argv[2], token=os.environ["TOKEN"], private=True, message="everyday, v1"))
except NotTaken as error:
    print(f"refused: {error}")
assert "torch" not in sys.modules
"""


class Server(ThreadingHTTPServer):
    """Remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.seen: dict[str, Any] = {"paths": [], "files": {}, "lfs": {}}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload asks for. Parquet goes by LFS, everything else within the commit."""

    server: Server

    def log_message(self, *_):
        pass

    def read(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(self, status, **body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        seen, body = self.server.seen, self.read()
        seen["paths"].append(self.path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.say(401, error="Who are you?")
        here = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            seen["made"] = json.loads(body)
            return self.say(200, url=f"{here}/datasets/lab/everyday")
        if self.path == "/api/validate-yaml":
            return self.say(200, errors=[], warnings=[])
        if self.path.endswith("/preupload/main"):
            named = [one["path"] for one in json.loads(body)["files"]]
            modes = [
                {"path": path, "uploadMode": "lfs" if path.endswith(".parquet") else "regular", "shouldIgnore": False}
                for path in named
            ]
            return self.say(200, files=modes, commitOid="0" * 40)
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{here}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self.say(200, transfer="basic", objects=objects)
        if self.path.endswith("/commit/main"):
            for line in body.splitlines():
                one = json.loads(line)
                if one["key"] == "header":
                    seen["message"] = one["value"]["summary"]
                elif one["key"] == "file":
                    seen["files"][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
                elif one["key"] == "lfsFile":
                    seen["files"][one["value"]["path"]] = seen["lfs"][one["value"]["oid"]]
            return self.say(200, commitUrl=f"{here}/datasets/lab/everyday/commit/{'1' * 40}", commitOid="1" * 40)
        return self.say(404, error="not part of this stand-in")

    def do_PUT(self):
        self.server.seen["lfs"][self.path.rpartition("/")[2]] = self.read()
        self.say(200)

    def do_GET(self):
        self.server.seen["paths"].append(self.path)
        self.say(404, error="not part of this stand-in")


@pytest.fixture
def hub():
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def released(project, make_pair, say, alice, tmp_path):
    say(alice, make_pair(slots=0), "first")
    release(project=project, version="v1", out=tmp_path / "v1")
    return tmp_path / "v1"


def in_a_fresh_process(folder, hub, home, token=TOKEN, repo="lab/everyday"):
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home / "hf"),
        "TOKEN": token,
    }
    environment.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(folder), repo], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def test_the_hub_gets_every_file_as_it_is_in_one_commit(released, hub, tmp_path):
    said = in_a_fresh_process(released, hub, tmp_path)
    assert said.strip().endswith(f"/commit/{'1' * 40}")
    there = {path.relative_to(released).as_posix(): path.read_bytes() for path in released.rglob("*") if path.is_file()}
    assert hub.seen["files"] == there
    assert [one for one in hub.seen["paths"] if "/commit/" in one] == ["/api/datasets/lab/everyday/commit/main"]
    assert (hub.seen["made"]["type"], hub.seen["made"]["visibility"]) == ("dataset", "private")
    assert hub.seen["message"] == "everyday, v1"


def test_a_token_that_the_hub_does_not_know_is_refused_with_a_sentence(released, hub, tmp_path):
    said = in_a_fresh_process(released, hub, tmp_path, token="hf_another")
    assert "refused: The hub refused lab/everyday with status 401" in said
    assert hub.seen["files"] == {}


def test_what_is_not_whole_or_has_no_token_is_not_pushed(released, hub, settings):
    here = f"http://127.0.0.1:{hub.server_port}"
    settings.HUB_TOKEN = ""
    with pytest.raises(Refused, match="Set PLUMBLINE_HUB_TOKEN"):
        push(folder=released, repo="lab/everyday", command="push_release", endpoint=here)
    settings.HUB_TOKEN = TOKEN
    (released / "README.md").write_text("# Better than it is")
    with pytest.raises(Refused, match=r"README\.md was changed after the release\. Only a release that is whole"):
        push(folder=released, repo="lab/everyday", command="push_release", endpoint=here)
    assert hub.seen["paths"] == []


def test_who_pushed_what_where_is_on_record_without_the_token(released, hub, settings, monkeypatch):
    from curation import pushing

    settings.HUB_TOKEN = TOKEN
    monkeypatch.setattr(pushing, "upload", lambda folder, **_: "https://hub.example/commit/1")
    assert push(folder=released, repo="lab/everyday", command="push_release") == "https://hub.example/commit/1"
    after = Event.objects.get(act="release.push").after
    assert after is not None
    assert (after["repo"], after["private"]) == ("lab/everyday", True)
    assert TOKEN not in json.dumps(after)
