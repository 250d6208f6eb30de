"""`noisette up` and `down`, servers in the background, where they listen, and whom they let in."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.prefect_server import free_ports, is_alive, wait_until
from support.workspace import Workspace

from noisette_flows.serving import BackgroundServer
from noisette_flows.serving.background import ServingError
from noisette_flows.serving.servers import BindAddress, is_loopback

SLEEPER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


def started(folder: Path) -> tuple[BackgroundServer, int]:
    server = BackgroundServer("prefect", folder)
    process = server.start(SLEEPER, dict(os.environ), "http://127.0.0.1:1", "127.0.0.1:1")
    assert process is not None
    return server, process.pid


def test_a_server_stands_until_it_is_stopped_and_is_started_once(tmp_path: Path) -> None:
    server, pid = started(tmp_path / "state")
    assert server.running is not None
    assert server.running.pid == pid
    assert server.start(SLEEPER, dict(os.environ), "", "") is None
    wait_until(lambda: server.last_output() == "here", "it writes its log")
    assert server.stop()
    assert not is_alive(pid)
    assert server.running is None
    assert not server.stop()


def test_a_server_that_was_killed_stands_no_more_though_its_file_is_there(tmp_path: Path) -> None:
    server, pid = started(tmp_path / "state")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (tmp_path / "state" / "prefect.json").exists()
    assert server.running is None
    again, pid = started(tmp_path / "state")  # the control: its place is free
    assert again.stop()


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    server, _ = started(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state" / "prefect.json").stat().st_mode & 0o077 == 0
    server.stop()


HERE = ("127.0.0.1", "127.0.0.7", "::1", "localhost")
ELSEWHERE = ("0.0.0.0", "::", "192.168.0.4", "myhost")


@pytest.mark.parametrize("address", [*HERE, *ELSEWHERE])
def test_a_password_is_asked_for_everywhere(address: str, tmp_path: Path) -> None:
    assert is_loopback(address) == (address in HERE)
    exposure = BindAddress.of(address, tmp_path)
    assert len(exposure.password) >= 12
    assert BindAddress.of(address, tmp_path) == exposure  # it is kept
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


def test_a_password_that_others_may_know_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "password"
    kept.write_text("planted-planted-planted")
    kept.chmod(0o644)
    with pytest.raises(ServingError, match="remove the file"):
        BindAddress.of("127.0.0.1", tmp_path)
    kept.chmod(0o600)  # the control
    assert BindAddress.of("127.0.0.1", tmp_path).password == "planted-planted-planted"


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    BindAddress.of("127.0.0.1", folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_address_to_listen_at_is_refused(workspace: Workspace) -> None:
    done = workspace.noisette("up", "--listen", "")
    assert done.returncode == 2
    assert done.stderr.strip() == "--listen: expected an address, such as 127.0.0.1; got nothing"
    assert not (workspace.folder / ".noisette").exists()


def test_a_password_can_be_given_and_must_be_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISETTE_PASSWORD", "correct-horse-battery")
    assert BindAddress.of("0.0.0.0", tmp_path).password == "correct-horse-battery"
    assert not (tmp_path / "password").exists()
    for wrong in ("short", "with:a:colon:in:it", "per%cent%per%cent"):
        monkeypatch.setenv("NOISETTE_PASSWORD", wrong)
        with pytest.raises(ServingError, match="expected 12 characters and more"):
            BindAddress.of("0.0.0.0", tmp_path)


def code(url: str, user: str = "", origin: str = "", body: bytes | None = None) -> tuple[int, str]:
    """Return the answer's code, and the origin that it lets read it."""
    headers = {"content-type": "application/json"} if body else {}
    headers |= {"authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
    headers |= {"origin": origin} if origin else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return answer.status, answer.headers.get("access-control-allow-origin", "")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("access-control-allow-origin", "")


@pytest.mark.slow
def test_up_and_down_with_a_password_beyond_loopback(workspace: Workspace) -> None:
    prefect, mlflow = map(str, free_ports(2))
    ports = ("--prefect-port", prefect, "--mlflow-port", mlflow)
    secret = {"NOISETTE_PASSWORD": "correct-horse-battery"}
    up = workspace.noisette("up", "--listen", "0.0.0.0", *ports, **secret)
    try:
        assert up.returncode == 0, up.stderr
        assert f"Other machines reach 0.0.0.0:{prefect} and 0.0.0.0:{mlflow}" in up.stdout
        assert "plain HTTP" in up.stdout
        assert workspace.noisette("up", *ports).stdout.splitlines()[:2] == up.stdout.splitlines()[:2]
        shows = f"http://127.0.0.1:{prefect}/api/flows/filter"
        lists = f"http://127.0.0.1:{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
        user = "noisette:correct-horse-battery"
        assert code(shows, body=b"{}")[0] == 401
        assert code(lists)[0] == 401
        assert code(shows, "noisette:wrong-wrong-wrong", body=b"{}")[0] == 401
        assert code(lists, "noisette:wrong-wrong-wrong")[0] == 401
        assert code(shows, user, body=b"{}")[0] == 200
        assert code(lists, user)[0] == 200
        assert code(shows, user, "http://evil.example", b"{}")[1] == ""
        ours = f"http://127.0.0.1:{prefect}"
        assert code(shows, user, ours, b"{}")[1] == ours  # the control: its own page may
        told = workspace.noisette("deploy", "setup", **secret)
        assert told.returncode == 0, told.stderr
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert "correct-horse-battery" not in listed
        for users in (workspace.folder / ".noisette").glob("*.db"):
            assert users.stat().st_mode & 0o077 == 0
        server = BackgroundServer("mlflow", workspace.folder / ".noisette").running
        assert server is not None
        session = ["ps", "-o", "args", "--no-headers", "--sid", str(server.pid)]
        members = subprocess.run(session, capture_output=True, text=True, check=True).stdout
        assert "mlflow" in members
        assert "job" not in members  # nobody needs MLflow's eight processes for jobs
    finally:
        down = workspace.noisette("down")
    assert down.stdout.splitlines() == ["prefect: stopped", "mlflow: stopped"]
    assert workspace.noisette("down").stdout.splitlines() == ["prefect: was not up", "mlflow: was not up"]


@pytest.mark.slow
def test_a_port_that_is_taken_is_named(workspace: Workspace) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = workspace.noisette("up", "--prefect-port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened at for Prefect" in done.stderr
    assert "--prefect-port" in done.stderr


@pytest.mark.slow
def test_serving_without_a_server_says_what_to_do(workspace: Workspace) -> None:
    for command in (["serve"], ["deploy", "setup"]):
        done = workspace.noisette(*command)
        assert done.returncode == 2
        assert "there is no Prefect server: run `noisette up` first" in done.stderr
