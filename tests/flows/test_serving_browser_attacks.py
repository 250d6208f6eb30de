"""What a page of another origin can do to the servers on this machine: nothing; without a password, everything.

The page is opened in a real browser, under a name that stands for this machine.
"""

from __future__ import annotations

import base64
import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.browser import missing_browser, open_browser, sign_in
from support.prefect_server import free_ports, prefect_server
from support.servers import mlflow_server
from support.workspace import Workspace, make_workspace, with_databases

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "it is there"),
]

EVIL = "evil.example"
PRIVATE = "10.evil.example"  # begins like a private address

READ = """async ([url, body]) => {
    const order = body ? {method: "POST", headers: {"content-type": "application/json"}, body} : {};
    try { return (await fetch(url, order)).status } catch { return "refused" }
}"""
WRITE_BLINDLY = """async ([url, body]) => {
    try { await fetch(url, {method: "POST", mode: "no-cors", body: new Blob([body])}) } catch {}
}"""
LISTEN = """url => new Promise(told => {
    const socket = new WebSocket(url, "prefect");
    socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: "noisette:wrong-wrong-wrong"}));
    socket.onmessage = message => told(JSON.parse(message.data).type);
    socket.onclose = () => told("refused");
})"""


@dataclass(frozen=True)
class Attacked:
    """A server, and the user and password that it asks for, or nothing."""

    port: int
    login: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask as somebody who knows the password."""
        headers = {"authorization": f"Basic {base64.b64encode(self.login.encode()).decode()}"} if self.login else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {**headers, "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with open_browser(names=(EVIL, PRIVATE)) as page:
        yield page


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of an empty page of another origin."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()

        def log_message(self, *said: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{EVIL}:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Attacked, Attacked]]:
    """The servers of `noisette up`: Prefect's and MLflow's."""
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("up")))
    prefect, mlflow = free_ports(2)
    done = workspace.noisette("up", "--prefect-port", str(prefect), "--mlflow-port", str(mlflow))
    try:
        assert done.returncode == 0, done.stderr
        login = f"noisette:{(workspace.folder / '.noisette' / 'password').read_text()}"
        yield Attacked(prefect, login), Attacked(mlflow, login)
    finally:
        workspace.noisette("down")


EMBEDDED = """
import json, os, sys
from noisette_flows.server import start_server
with start_server():
    pass
print(os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_AUTH_STRING"], flush=True)
sys.stdin.read()
"""


@contextmanager
def embedded(workspace: Workspace) -> Iterator[Attacked]:
    """The server inside a command."""
    command = [sys.executable, "-P", "-c", EMBEDDED]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=workspace.folder, env=workspace.environment, **pipes) as process:  # type: ignore[call-overload]
        url, _, login = process.stdout.readline().strip().partition(" ")
        yield Attacked(int(url.rpartition(":")[2].removesuffix("/api")), login)


@contextmanager
def unprotected(folder: Path) -> Iterator[Attacked]:
    """Prefect's server as it comes: the control."""
    with prefect_server(folder) as server:
        yield Attacked(server.port)


def attacks(page: Any, site: str, server: Attacked) -> dict[str, Any]:
    """Attack Prefect's server; return what came of it."""
    page.goto(site)
    came = {"read": page.evaluate(READ, [f"{server.url}/api/flow_runs/filter", "{}"])}
    page.evaluate(WRITE_BLINDLY, [f"{server.url}/api/variables/", json.dumps({"name": "planted", "value": 1})])
    found = server.ask("/api/variables/filter", {})
    came["written"] = [variable["name"] for variable in found]
    came["listened"] = page.evaluate(LISTEN, f"ws://127.0.0.1:{server.port}/api/events/out")
    page.goto(f"http://{EVIL}:{server.port}/api/health")  # a page whose name has come to stand for this machine
    came["rebound"] = page.evaluate(READ, ["/api/flow_runs/filter", "{}"])
    return came


NOTHING = {"read": "refused", "written": [], "listened": "refused", "rebound": 401}


def test_without_a_password_a_page_reads_and_writes(page: Any, site: str, tmp_path: Path) -> None:
    with unprotected(tmp_path) as server:
        came = attacks(page, site, server)
    assert came == {"read": 200, "written": ["planted"], "listened": "auth_success", "rebound": 200}


def test_a_page_gets_nothing_of_the_embedded_server(page: Any, site: str, workspace: Workspace) -> None:
    with embedded(workspace) as server:
        assert attacks(page, site, server) == NOTHING
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert server.login.partition(":")[2].encode() not in entry.read_bytes()
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                continue


def test_a_page_gets_nothing_of_the_prefect_server_of_up(
    page: Any, site: str, up: tuple[Attacked, Attacked]
) -> None:
    assert attacks(page, site, up[0]) == NOTHING


LISTED = "/api/2.0/mlflow/experiments/search?max_results=5"


def rebound(page: Any, server: Attacked) -> Any:
    page.goto(f"http://{PRIVATE}:{server.port}/health")
    return page.evaluate(READ, [LISTED, ""])


def test_a_name_like_a_private_address_opens_no_mlflow(
    page: Any, up: tuple[Attacked, Attacked], tmp_path: Path
) -> None:
    assert rebound(page, up[1]) in (401, 403)
    assert up[1].ask(LISTED)["experiments"]
    with mlflow_server(tmp_path) as control:
        assert rebound(page, Attacked(control.port)) == 200


def stolen(server: Attacked, folder: Path) -> str:
    """Have MLflow hand out a file of its owner's, as another user of the machine could; return what came."""
    made = server.ask("/api/2.0/mlflow/experiments/create", {"name": "x", "artifact_location": str(folder)})
    run = server.ask("/api/2.0/mlflow/runs/create", {"experiment_id": made["experiment_id"]})["run"]["info"]
    (folder / run["run_id"]).mkdir()
    (folder / run["run_id"] / "artifacts").symlink_to(folder.parent)
    asked = f"{server.url}/get-artifact?path=private.txt&run_uuid={run['run_id']}"
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return str(answer.read().decode())


def test_another_user_of_the_machine_gets_no_file_from_mlflow(
    up: tuple[Attacked, Attacked], tmp_path: Path
) -> None:
    (tmp_path / "private.txt").write_text("secret")
    (tmp_path / "theirs").mkdir()
    with pytest.raises(urllib.request.HTTPError, match="401"):
        stolen(Attacked(up[1].port), tmp_path / "theirs")
    with mlflow_server(tmp_path / "control") as control:
        assert stolen(Attacked(control.port), tmp_path / "theirs") == "secret"


def test_a_person_signs_in_to_prefects_pages(page: Any, up: tuple[Attacked, Attacked]) -> None:
    with page.expect_response(lambda answer: "/api/flow_runs/" in answer.url and answer.status == 200):
        sign_in(page, up[0].url, up[0].login)


def test_a_person_signs_in_to_mlflows_pages(page: Any, up: tuple[Attacked, Attacked]) -> None:
    user, _, password = up[1].login.partition(":")
    with page.context.browser.new_context(http_credentials={"username": user, "password": password}) as context:
        pages = context.new_page()
        pages.goto(up[1].url)
        pages.get_by_text("Experiments").first.wait_for(timeout=120_000)
