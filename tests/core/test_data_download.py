"""Downloads against a server on 127.0.0.1 that misbehaves as told; each fault has a control."""

from __future__ import annotations

import hashlib
import io
import random
import re
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from noisette import DataError, StorageError
from noisette.data import download
from noisette.data.download import fetch

CONTENT = random.Random(0).randbytes(900_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CUT = 300_000

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each path as `answers` says, and keeps the requests."""

    answers: dict[str, Answer]
    requests: list[tuple[str, str | None]]

    def do_GET(self):
        self.requests.append((self.path, self.headers.get("Range")))
        self.answers[self.path](self)

    def log_message(self, *args):
        """Say nothing."""

    @property
    def start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(match[1]) if match else 0

    def send(self, content: bytes, *, status: int = 200, length: int | None = None, first: int = 0):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True


def good(handler: Handler) -> None:
    if handler.start >= len(CONTENT):
        handler.send_error(416)
    elif handler.start:
        handler.send(CONTENT[handler.start :], status=206, first=handler.start)
    else:
        handler.send(CONTENT)


def cut(handler: Handler) -> None:
    """Break off after CUT bytes of what is asked for."""
    rest = CONTENT[handler.start :]
    handler.send(rest[:CUT], status=206 if handler.start else 200, length=len(rest), first=handler.start)


def cut_first(handler: Handler) -> None:
    """Break off unless asked to continue."""
    (good if handler.start else cut)(handler)


def dead_end(handler: Handler) -> None:
    """Break off after CUT bytes and never give more."""
    if handler.start:
        handler.send(b"", status=206, length=len(CONTENT) - handler.start, first=handler.start)
    else:
        cut(handler)


class IgnoresRange:
    """Always sends the file from its start; the first time it breaks off."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, handler: Handler) -> None:
        self.calls += 1
        handler.send(CONTENT[:CUT] if self.calls == 1 else CONTENT, length=len(CONTENT))


def lies_about_range(handler: Handler) -> None:
    """Continue at another byte than asked for."""
    first = handler.start // 2
    handler.send(CONTENT[first:], status=206, first=first) if handler.start else handler.send(CONTENT)


def wrong(handler: Handler) -> None:
    handler.send(bytes(len(CONTENT)))


def missing(handler: Handler) -> None:
    handler.send_error(404)


def endless(handler: Handler) -> None:
    """Send more than the length that the caller knows, without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(CONTENT + b"more")
    handler.close_connection = True


class Quiet(ThreadingHTTPServer):
    """A server that does not mind a client that hangs up."""

    def handle_error(self, request, client_address):
        """Say nothing."""


class Server:
    """A server, its address, and what it was asked."""

    def __init__(self) -> None:
        self.handler = type("Bound", (Handler,), {"answers": {}, "requests": []})
        self.http = Quiet(("127.0.0.1", 0), self.handler)
        self.requests = self.handler.requests

    def url(self, answer: Answer) -> str:
        path = f"/{len(self.handler.answers)}/file"
        self.handler.answers[path] = answer
        return f"http://127.0.0.1:{self.http.server_port}{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def no_part_of(target: Path) -> bool:
    return not target.with_name(f"{target.name}.part").exists()


def test_a_file_is_downloaded_whole_and_reported(server: Server, tmp_path: Path):
    seen = []
    target = fetch(
        [server.url(good)], tmp_path / "new" / "file", sha256=SHA256, progress=lambda *now: seen.append(now)
    )
    assert target == tmp_path / "new" / "file"
    assert target.read_bytes() == CONTENT
    assert no_part_of(target)
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests == [("/0/file", None)]


def test_without_a_listener_the_log_says_how_far_it_is(server: Server, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(download, "_LOG_INTERVAL", 0.0)
    with caplog.at_level("INFO", logger="noisette"):
        fetch([server.url(good)], tmp_path / "file", sha256=SHA256)
    assert [record.getMessage() for record in caplog.records][-1] == (
        f"downloading file: {len(CONTENT) / 1e6:,.0f} of {len(CONTENT) / 1e6:,.0f} MB"
    )


def is_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"content" * 100)
    return file.getvalue()


def test_a_zip_archive_is_held_to_its_own_checksums(server: Server, tmp_path: Path, monkeypatch):
    whole = is_zip()
    monkeypatch.setitem(globals(), "CONTENT", whole)  # what the server has
    target = fetch([server.url(good)], tmp_path / "a.zip", is_zip=True)
    assert target.read_bytes() == whole
    fetch([server.url(good)], target, is_zip=True)
    assert len(server.requests) == 1  # it is there
    target.write_bytes(whole.replace(b"contentcontent", b"contentcontend", 1))
    fetch([server.url(good)], target, is_zip=True)
    assert target.read_bytes() == whole  # a damaged one was not taken for it
    monkeypatch.setitem(globals(), "CONTENT", b"<html>gone</html>")
    with pytest.raises(DataError, match="expected a zip archive that is whole; File is not a zip file"):
        fetch([server.url(good)], tmp_path / "b.zip", is_zip=True)
    assert not (tmp_path / "b.zip").exists()


def test_md5_serves_where_there_is_no_better_hash(server: Server, tmp_path: Path):
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert fetch([server.url(good)], tmp_path / "file", md5=md5.upper()).read_bytes() == CONTENT
    with pytest.raises(DataError, match=f"expected md5 {'0' * 32}; the file has {md5}"):
        fetch([server.url(good)], tmp_path / "other", md5="0" * 32)


def test_a_hash_is_required(tmp_path: Path):
    with pytest.raises(ValueError, match="sha256 or md5"):
        fetch([], tmp_path / "file")


def test_a_file_that_is_there_is_used_and_a_wrong_one_replaced(server: Server, tmp_path: Path):
    target = tmp_path / "file"
    target.write_bytes(CONTENT)
    fetch([server.url(good)], target, sha256=SHA256)
    assert server.requests == []
    target.write_bytes(b"wrong")
    assert fetch([server.url(good)], target, sha256=SHA256).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    fetch([server.url(good)], tmp_path / "control", sha256=SHA256)
    assert [asked for _, asked in server.requests] == [None]
    target = fetch([server.url(cut_first)], tmp_path / "file", sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, None, f"bytes={CUT}-"]


def test_a_host_that_breaks_often_is_borne_while_it_goes_forward(server: Server, tmp_path: Path):
    fetch([server.url(cut)], tmp_path / "file", sha256=SHA256)
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_later_call_and_another_mirror_go_on_from_the_same_part(server: Server, tmp_path: Path):
    target = tmp_path / "file"
    with pytest.raises(DataError, match="the connection broke after 300000 of 900000 bytes"):
        fetch([server.url(dead_end)], target, sha256=SHA256)
    assert not target.exists()
    assert not no_part_of(target)
    tries = len(server.requests)
    assert tries == 1 + download._MAX_TRIES
    fetch([server.url(missing), server.url(good)], target, sha256=SHA256)
    assert server.requests[tries:] == [("/1/file", f"bytes={CUT}-"), ("/2/file", f"bytes={CUT}-")]
    assert target.read_bytes() == CONTENT


def test_a_host_that_ignores_range_is_read_from_the_start(server: Server, tmp_path: Path):
    target = fetch([server.url(IgnoresRange())], tmp_path / "file", sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, f"bytes={CUT}-"]


@pytest.mark.parametrize("answer", [good, lies_about_range])
@pytest.mark.parametrize("part", [b"not of this file", CONTENT + b"and more"], ids=["wrong", "too long"])
def test_a_part_that_does_not_belong_is_loaded_anew(server: Server, tmp_path: Path, answer: Answer, part: bytes):
    target = tmp_path / "file"
    target.with_name("file.part").write_bytes(part)
    assert fetch([server.url(answer)], target, sha256=SHA256).read_bytes() == CONTENT
    assert server.requests[0][1] == f"bytes={len(part)}-"
    assert server.requests[-1][1] is None


def test_a_part_that_is_complete_needs_no_request(server: Server, tmp_path: Path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch([server.url(good)], tmp_path / "file", sha256=SHA256).read_bytes() == CONTENT
    assert server.requests == []


def test_wrong_bytes_are_never_put_in_place(server: Server, tmp_path: Path):
    target = tmp_path / "file"
    with pytest.raises(DataError, match="the file has ") as error:
        fetch([server.url(wrong)], target, sha256=SHA256)
    assert hashlib.sha256(bytes(len(CONTENT))).hexdigest() in str(error.value)
    assert not target.exists()
    assert no_part_of(target)
    assert fetch([server.url(wrong), server.url(good)], target, sha256=SHA256).read_bytes() == CONTENT


def test_one_message_lists_every_mirror_and_the_way_by_hand(server: Server, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}/file"
    urls = [server.url(missing), refused, server.url(wrong)]
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(DataError) as error:
        fetch(urls, target, sha256=SHA256)
    first, *mirrors, last = str(error.value).splitlines()
    assert first == "file: could not be downloaded:"
    assert [line.strip().split(": ")[0] for line in mirrors] == urls
    assert "HTTP 404" in mirrors[0]
    assert "refused" in mirrors[1].lower()
    assert "expected sha256" in mirrors[2]
    assert str(target) in last
    assert SHA256 in last
    assert "another hash" in last
    assert target.read_bytes() == b"old"


def test_a_host_that_hangs_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    release = threading.Event()
    hanging = server.url(lambda handler: release.wait(20))
    target = fetch([hanging, server.url(good)], tmp_path / "file", sha256=SHA256)
    release.set()
    assert target.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/0/file", "/1/file"]


def test_a_known_size_refuses_hosts_that_offer_another(server: Server, tmp_path: Path):
    right = fetch([server.url(endless), server.url(good)], tmp_path / "a", sha256=SHA256, size=len(CONTENT))
    assert right.read_bytes() == CONTENT
    with pytest.raises(DataError, match="expected 900000 bytes; the host sends more"):
        fetch([server.url(endless)], tmp_path / "b", sha256=SHA256, size=len(CONTENT))
    with pytest.raises(DataError, match="expected 7 bytes; the host offers 900000"):
        fetch([server.url(good)], tmp_path / "c", sha256=SHA256, size=7)


def test_of_several_callers_one_downloads(server: Server, tmp_path: Path):
    url, target = server.url(good), tmp_path / "file"
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch([url], target, sha256=SHA256), range(4)))
    assert paths == [target] * 4
    assert len(server.requests) == 1
    assert target.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_mirrors(server: Server, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch([server.url(good)], tmp_path / "file" / "below", sha256=SHA256)
    assert server.requests == []
