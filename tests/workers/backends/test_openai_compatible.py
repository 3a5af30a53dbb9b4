"""Endpoints, against a real HTTP server in a thread of the test that speaks the protocol, well and badly."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from workers.backends import CannotAnswer, CannotLoad, Checkpoint, Sampling, load_backend
from workers.backends.openai_compatible import checked_address, retry_after

KEY = "sk-canary-never-shown"


def logprob(**tops):
    """One token as chat completions tell it; the first named was drawn."""
    entries = [{"token": token, "logprob": math.log(p)} for token, p in tops.items()]
    return {**entries[0], "top_logprobs": entries}


def chat(text, *tokens, finish="stop", **choice):
    told = {"content": list(tokens)} if tokens else None
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"message": message, "finish_reason": finish, "logprobs": told, **choice}],
        "usage": {"completion_tokens": 7},
    }


class Server(ThreadingHTTPServer):
    """Answers from a script: (status, body, headers), a callable of the request, or an exception to break off with."""

    daemon_threads = True
    request_queue_size = 64
    # The tests break connections off; that is not worth a line on the terminal.
    handle_error = lambda self, *args: None  # noqa: E731

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: deque = deque()
        self.always = None
        self.asked: list[tuple[str, dict, dict]] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer({"data": [{"id": "tiny"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append((self.path, body, dict(self.headers)))
            step = self.server.script.popleft() if self.server.script else self.server.always
        if step is ConnectionAbortedError:
            self.connection.close()
            return
        if isinstance(step, threading.Event):
            step.wait(10)
            step = (503, "late", {})
        if callable(step):
            step = step(body)
        self.answer(*step) if isinstance(step, tuple) else self.answer(step)

    def answer(self, status, body=None, headers=()):
        if not isinstance(status, int):
            status, body = 200, status
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def endpoint(server, settings) -> Any:
    settings.ENDPOINT_KEYS = {server.url: KEY}
    backend: Any = load_backend(name="tiny", kind="openai_compatible", folder_or_url=server.url + "/")
    backend.pause = 0.001
    return backend


def asked(text):
    return [{"role": "user", "content": text}]


def one(endpoint, **options):
    ((place, got),) = endpoint.generate([asked("Why?")], sampling=Sampling(**options), seeds=[5])
    assert place == 0
    return got


# ---- generate ------------------------------------------------------------------------------------------------------


def test_what_is_asked_reaches_the_endpoint(endpoint, server):
    server.always = chat("Because.")
    assert one(endpoint, temperature=0.5, top_k=7, max_tokens=9, stop=("END",)).text == "Because."
    path, body, headers = server.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "tiny",
        "messages": asked("Why?"),
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 7,
        "max_tokens": 9,
        "stop": ["END"],
        "seed": 5,
        "logprobs": True,
        "top_logprobs": 20,
    }


def test_figures_are_told_where_the_alternatives_suffice_and_none_where_they_do_not(endpoint, server):
    tokens = (logprob(It=0.5, We=0.45), logprob(**{" is": 0.62, " was": 0.31, " be": 0.07}))
    server.always = chat("It is", *tokens)
    got = one(endpoint)
    assert got.token_count == 2
    assert got.log_probability == pytest.approx(math.log(0.5 * 0.62))
    assert got.quantiles[0] == pytest.approx(math.log(0.5))
    assert got.mean_entropy is None  # The tail is not told.

    def entropy(*parts):
        return -sum(p / sum(parts) * math.log(p / sum(parts)) for p in parts)

    np.testing.assert_allclose(got.truncated_entropies, [entropy(0.5, 0.45), entropy(0.62, 0.31)])
    assert got.branching == pytest.approx((entropy(0.5, 0.45) + entropy(0.62, 0.31)) / 2)
    assert got.truncated_log_probability == pytest.approx(math.log(0.5 / 0.95) + math.log(0.62 / 0.93))
    server.always = chat("It is", logprob(It=0.5, We=0.2), tokens[1])
    assert one(endpoint).branching is None
    server.always = chat("It is", finish="length")
    got = one(endpoint)
    assert (got.log_probability, got.quantiles, got.branching, got.finish) == (None, None, None, "length")
    assert got.token_count == 7


def test_the_token_that_ends_the_turn_is_not_counted(endpoint, server):
    server.always = chat("Hi you", logprob(Hi=0.5), logprob(**{" you": 0.5}), logprob(**{"<|im_end|>": 0.9}))
    assert one(endpoint).token_count == 2


def test_a_prefix_and_a_plain_text(endpoint, server):
    server.always = chat("Sure, yes.")
    ((_, got),) = endpoint.generate([asked("Why?")], sampling=Sampling(), seeds=[0], prefix=["Sure,"])
    assert got.text == " yes."  # This server repeats the prefix; others do not.
    assert server.asked[0][1]["messages"][-1] == {"role": "assistant", "content": "Sure,"}
    assert server.asked[0][1]["continue_final_message"] is True
    logprobs = {"tokens": [" four"], "token_logprobs": [-0.1], "top_logprobs": [{" four": -0.1, " 4": -3.0}]}
    server.always = {"choices": [{"text": " four", "finish_reason": "stop", "logprobs": logprobs}]}
    ((_, got),) = endpoint.generate([[{"role": "text", "content": "2+2 is"}]], sampling=Sampling(), seeds=[0])
    path, body, _ = server.asked[1]
    assert (path, body["prompt"], body["logprobs"]) == ("/v1/completions", "2+2 is", 20)
    assert (got.text, got.log_probability) == (" four", pytest.approx(-0.1))


def test_many_come_as_they_are_done_each_in_its_place(endpoint, server):
    server.always = lambda body: chat(body["messages"][0]["content"].upper() + str(body["seed"]))
    n = 40
    got = dict(endpoint.generate([asked(f"q{i}") for i in range(n)], sampling=Sampling(), seeds=range(n)))
    assert [got[i].text for i in range(n)] == [f"Q{i}{i}" for i in range(n)]


# ---- choose --------------------------------------------------------------------------------------------------------


def test_choose_reads_the_first_tokens_alternatives(endpoint, server):
    server.always = chat("A", logprob(**{"A": 0.4, " A": 0.1, "B": 0.2, "NA": 0.05, "None": 0.2}))
    (got,) = endpoint.choose([asked("A or B?")], options=("A", "B", "NA"))
    np.testing.assert_allclose(got.probabilities, [0.5, 0.2, 0.05])
    assert server.asked[0][1]["max_tokens"] == 1
    (same,) = endpoint.choose_after_prefix([asked("A or B?")], options=("B", "A", "C"))
    np.testing.assert_allclose(same.probabilities, [0.2, 0.5, 0])


def test_a_server_that_allows_fewer_alternatives_is_asked_for_fewer(endpoint, server):
    def picky(body):
        if body["top_logprobs"] > 5:
            return 422, {"error": "top_logprobs must be at most 5"}, {}
        return chat("B", logprob(B=0.7, A=0.2))

    server.always = picky
    for got in endpoint.choose([asked("1"), asked("2")], options=("A", "B")):
        np.testing.assert_allclose(got.probabilities, [0.2, 0.7])
    before = len(server.asked)
    endpoint.choose([asked("3")], options=("A", "B"))
    assert len(server.asked) == before + 1  # It is remembered.


@pytest.mark.parametrize("logprobs", [None, {}, {"content": []}, {"content": None}, {"content": [{"token": "A"}]}, "x"])
def test_without_log_probabilities_there_is_no_judging(logprobs, endpoint, server):
    server.always = chat("A", logprobs=logprobs)
    with pytest.raises(CannotAnswer, match="gives no log-probabilities"):
        endpoint.choose([asked("A or B?")], options=("A", "B"))


@pytest.mark.parametrize(
    "hook", [{"logits_processor": [lambda tokens, logits: logits]}, {"checkpoint": Checkpoint(8, lambda texts: [])}]
)
def test_hooks_into_the_drawing_are_refused_and_never_ignored(hook, endpoint, server):
    with pytest.raises(CannotAnswer, match="Use a local model"):
        list(endpoint.generate([asked("Why?")], sampling=Sampling(), seeds=[0], **hook))
    assert not server.asked


def test_score_is_not_offered(endpoint, server):
    with pytest.raises(CannotAnswer, match="Use a local model"):
        endpoint.score([(asked("a"), "b")])
    with pytest.raises(CannotAnswer, match="how probable a given text is"):
        endpoint.score([(asked("a"), "b")], top_k=3)
    assert not server.asked


# ---- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        (429, "slow down", {"Retry-After": "0"}),
        (500, "oops", {}),
        (503, "<html>", {}),
        (200, "not json", {}),
        (200, '{"choices": []}', {}),
        (200, "[" * 100_000, {}),
        (200, {"choices": [{"message": {"content": 7}}]}, {}),
        (200, {"choices": [{"message": None}]}, {}),
        ConnectionAbortedError,
    ],
)
def test_what_may_pass_is_tried_again_and_not_for_ever(failure, endpoint, server):
    server.script.extend([failure, failure])
    server.always = chat("At last.")
    assert one(endpoint).text == "At last."
    assert len(server.asked) == 3
    server.always, server.asked = failure, []
    with pytest.raises(CannotAnswer, match=r"It was tried 5 times\.") as refusal:
        one(endpoint)
    assert len(server.asked) == 5
    assert KEY not in str(refusal.value)


def test_a_slow_endpoint_is_not_waited_for_for_ever(endpoint, server):
    gate = threading.Event()
    server.always = gate
    endpoint.timeout = 0.05
    with pytest.raises(CannotAnswer, match=r"cannot be reached \(TimeoutError\)"):
        one(endpoint)
    gate.set()


def test_retry_after_is_kept_to(endpoint, server, monkeypatch):
    waited: list[float | None] = []
    monkeypatch.setattr(threading.Event, "wait", _recording(threading.Event.wait, waited))
    server.script.append((429, "", {"Retry-After": "0.25"}))
    server.always = chat("Yes.")
    assert one(endpoint).text == "Yes."
    assert 0.25 in waited


def _recording(wait, waited):
    def recorded(self, timeout=None):
        waited.append(timeout)
        return wait(self, None if timeout is None else min(timeout, 0.01))

    return recorded


def test_retry_after_as_number_date_or_nonsense():
    assert retry_after("7") == 7
    assert retry_after("Fri, 31 Dec 2199 23:59:59 GMT") > 10**9
    for nothing in (None, "", "-3", "soon", "nan", "inf", "Fri, 31 Dec 1999 23:59:59 GMT"):
        assert retry_after(nothing) == 0


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "refused the key"), (403, "refused the key"), (400, "refused the request"), (302, "sends elsewhere")],
)
def test_what_will_not_pass_is_not_tried_again_and_the_key_is_not_told(status, sentence, endpoint, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.always = (status, f"Incorrect API key provided: {KEY}", {"Location": "http://127.0.0.1:9/"})
    with pytest.raises(CannotAnswer, match=sentence) as refusal:
        one(endpoint)
    assert len(server.asked) == (2 if status == 400 else 1)  # After 400 once more, with fewer alternatives.
    assert KEY not in str(refusal.value) + repr(endpoint) + caplog.text


def test_giving_up_stops_what_is_on_its_way(endpoint, server):
    class Cancelled(Exception):
        pass

    def beat():
        if len(server.asked) >= 8:
            raise Cancelled

    server.always = (503, "", {"Retry-After": "30"})
    with pytest.raises(Cancelled):
        list(endpoint.generate([asked("?")] * 100, sampling=Sampling(), seeds=[0] * 100, beat=beat))
    assert len(server.asked) <= 16
    for thread in threading.enumerate():
        if thread.name.startswith("endpoint"):
            thread.join(60)
            assert not thread.is_alive()


# ---- connecting ----------------------------------------------------------------------------------------------------


def test_a_key_goes_to_its_own_address_only(server, settings):
    settings.ENDPOINT_KEYS = {"http://elsewhere/v1": KEY}
    backend = load_backend(name="tiny", kind="openai_compatible", folder_or_url=server.url)
    server.always = chat("Hi.")
    one(backend)
    assert "Authorization" not in server.asked[0][2]
    assert backend.revision == "as served"


def test_a_model_that_is_not_served_is_named(server):
    with pytest.raises(CannotLoad, match=r"does not serve “huge”\. It serves: tiny"):
        load_backend(name="huge", kind="openai_compatible", folder_or_url=server.url)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host:8000",
        "file:///etc/passwd",
        "ftp://host",
        "http://",
        "http://u:p@host/v1",
        "http://h/v1?key=x",
        "http://h:x",
    ],
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(CannotLoad, match="address"):
        load_backend(name="tiny", kind="openai_compatible", folder_or_url=address)


def test_nobody_there_is_said(server, monkeypatch):
    monkeypatch.setattr("workers.backends.openai_compatible.PAUSE", 0.001)
    free = checked_address(server.url.replace(str(server.server_port), "9"))
    with pytest.raises(CannotLoad, match=r"cannot be reached \(ConnectionRefusedError\)"):
        load_backend(name="tiny", kind="openai_compatible", folder_or_url=free)
