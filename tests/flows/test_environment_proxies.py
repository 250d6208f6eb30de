"""A proxy that the environment names, as companies do: this machine itself is reached without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import free_port
from support.workspace import Workspace

from noisette_flows.environment import set_defaults

HOSTS = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, HOSTS),
        ({"NO_PROXY": ".example.com, 10.0.0.1"}, f".example.com,10.0.0.1,{HOSTS}"),
        ({"no_proxy": "a", "NO_PROXY": "b,a"}, f"a,b,{HOSTS}"),
    ],
)
def test_this_machine_is_added_to_both_spellings(
    given: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    set_defaults()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == told


def test_no_proxy_at_all_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"NO_PROXY": "*"})
    set_defaults()
    assert os.environ["NO_PROXY"] == "*"
    assert "no_proxy" not in os.environ


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_command_runs_behind_a_proxy(workspace: Workspace, scheme: str) -> None:
    nobody = f"{scheme}://127.0.0.1:{free_port()}"
    name = "http_proxy" if scheme == "http" else "all_proxy"
    done = workspace.noisette("prepare", "tiny.yaml", **{name: nobody})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("ours", [True, False])
def test_an_http_client_does_not_ask_a_socks_proxy_for_this_machine(tmp_path: Path, ours: bool) -> None:
    import http.server
    import threading

    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        asked = (
            f"{'import noisette_flows, httpx' if ours else 'import httpx'}; print(httpx.get({url!r}).status_code)"
        )
        left_out = [name for name in os.environ if name.lower().endswith("_proxy")]
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment["all_proxy"] = f"socks5://127.0.0.1:{free_port()}"
        done = subprocess.run(
            [sys.executable, "-c", asked],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        server.shutdown()
    assert (done.stdout.strip() == "200") == ours, done.stderr
