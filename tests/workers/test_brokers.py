"""Runs end on every broker, also when it loses everything or dies: the row is the truth, the message only a bell."""

from __future__ import annotations

from tests.workers.asking import ask_for, attempts, state_of, wait_for


def test_runs_end_though_the_broker_is_emptied_in_the_middle(project, server, start_worker, tmp_path):
    start_worker(server)
    gate = tmp_path / "gate"
    busy, file = ask_for(project, tmp_path, "wait", gate=str(gate))
    wait_for(lambda: attempts(file) == ["attempt 1"])
    waiting = [ask_for(project, tmp_path, "count", called=f"count{n}") for n in range(3)]
    server.empty()
    gate.touch()
    wait_for(lambda: state_of(busy) == "done")
    for run, counted in waiting:
        wait_for(lambda run=run: state_of(run) == "done")
        assert attempts(counted) == ["attempt 1"]
    assert attempts(file) == ["attempt 1"]


def test_runs_end_though_the_broker_is_killed_in_the_middle(project, server, start_worker, tmp_path):
    start_worker(server)
    gate = tmp_path / "gate"
    busy, file = ask_for(project, tmp_path, "wait", gate=str(gate))
    wait_for(lambda: attempts(file) == ["attempt 1"])
    server.kill()
    # A page can still ask for runs: its bell is lost, its row is there.
    asked, counted = ask_for(project, tmp_path, "count")
    gate.touch()
    wait_for(lambda: state_of(busy) == "done")
    assert state_of(asked) == "waiting"
    server.start()
    wait_for(lambda: state_of(asked) == "done")
    assert (attempts(file), attempts(counted)) == (["attempt 1"], ["attempt 1"])
