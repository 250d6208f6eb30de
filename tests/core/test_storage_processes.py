"""What other processes and full disks do to directories; each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from noisette import StorageError
from noisette.storage import committed, is_complete, owned, verify


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def write(target: Path, content: bytes = b"old") -> None:
    with committed(target, "samples", {"content": content.decode()}) as staging:
        (staging / "a").write_bytes(content)


def content(target: Path) -> str:
    return str(verify(target, "samples").about["content"])


STOPPED = """
import sys, time
from pathlib import Path
import noisette.storage.commit as commit

def stop(*_):
    print("there", flush=True)
    time.sleep(600)

target, where = Path(sys.argv[1]), sys.argv[2]
if where == "manifest":
    commit.write_manifest = stop
if where == "renames":
    rename = Path.rename
    Path.rename = lambda self, to: stop() if self.name.startswith(".staging-") else rename(self, to)
with commit.committed(target, "samples", {"content": "new"}) as staging:
    (staging / "a").write_bytes(b"new")
    if where == "block":
        stop()
print("done")
"""


@pytest.mark.parametrize("where", ["block", "manifest", "renames"])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_writer_that_is_killed_leaves_the_old_state_and_is_swept_up(
    tmp_path: Path, where: str, replaces: bool
) -> None:
    target = tmp_path / "target"
    if replaces:
        write(target)
    writer = start(STOPPED, target, where)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "there\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert [path for path in tmp_path.iterdir() if path != target], "the kill left something to sweep up"
    if not (replaces and where != "renames"):
        assert not is_complete(target, "samples")
    else:
        assert content(target) == "old"
    with pytest.raises(RuntimeError), committed(target, "samples", {}):
        raise RuntimeError("this attempt fails too")
    assert content(target) == "old" if replaces else not target.exists()
    assert [path for path in tmp_path.iterdir() if path != target] == []
    write(target, b"newest")
    assert content(target) == "newest"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_staging_of_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    writer = start(STOPPED, target, "block")
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        write(target)
        assert (tmp_path / f".staging-target-{writer.pid}" / "a").read_bytes() == b"new"
    finally:
        writer.kill()
        writer.communicate()


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from noisette import StorageError
from noisette.storage import committed, create_array

target, kind, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
big = np.random.default_rng(0).integers(0, 256, (1000, 1000), dtype=np.uint8)
try:
    with committed(target, "samples", {"content": "new"}) as staging:
        if kind == "bytes":
            (staging / "a").write_bytes(big.tobytes())
        elif kind == "numpy":
            np.save(staging / "a.npy", big)
        elif kind == "memmap":
            create_array(staging / "a.npy", big.shape, np.uint8)[:] = big
        elif kind == "image":
            from PIL import Image
            Image.fromarray(big).save(staging / "a.png")
        elif kind == "safetensors":
            from safetensors.numpy import save_file
            save_file({"a": big}, staging / "a.safetensors")
        elif kind == "manifest":
            for number in range(4000):
                (staging / f"{number}").touch()
except StorageError as error:
    print(error)
else:
    print("written")
"""

KINDS = ["bytes", "numpy", "memmap", "image", "safetensors", "manifest"]


def attempt(target: Path, kind: str, limit: int) -> str:
    out, err = start(FULL, target, kind, limit).communicate()
    assert err == ""
    return out.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_on_files_is_one_clear_error_and_the_old_state_stays(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    write(target)
    message = attempt(target, kind, 200_000)
    assert message.startswith(f"{target}: cannot be written: ")
    assert message.endswith("; nothing was changed")
    assert "File too large (free some space and start again)" in message or "is the disk full?" in message
    assert content(target) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root; the limit on files is tested everywhere")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("kind", KINDS[:5])
def test_a_full_disk_is_one_clear_error_and_the_old_state_stays(small_disk: Path, kind: str) -> None:
    target = small_disk / "target"
    write(target)
    message = attempt(target, kind, 0)
    assert "No space left on device (free some space and start again)" in message or "is the disk full?" in message
    assert content(target) == "old"
    assert [path.name for path in small_disk.iterdir()] == ["target"]
    write(target, b"newer")
    assert content(target) == "newer"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_limit_the_same_is_written(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    assert attempt(target, kind, 0) == "written"
    assert content(target) == "new"


OWNER = """
import sys
from pathlib import Path
from noisette.storage import owned
with owned(Path(sys.argv[1])):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_first_ones_id(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    owner = start(OWNER, directory)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "owned\n"
    try:
        with pytest.raises(StorageError, match=f"run: process {owner.pid} is working in it"), owned(directory):
            pass
    finally:
        owner.kill()
        owner.communicate()
    with owned(directory):  # the kernel dropped the lock with the process
        pass


def test_ownership_ends_with_the_block_and_excludes_threads_too(tmp_path: Path) -> None:
    with owned(tmp_path):
        with pytest.raises(StorageError, match=f"process {os.getpid()} is working"), owned(tmp_path):
            pass
        with owned(tmp_path / "other"):
            pass
    with pytest.raises(RuntimeError), owned(tmp_path):
        raise RuntimeError
    with owned(tmp_path):
        pass


def test_a_place_that_cannot_be_owned_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written: Not a directory"), owned(tmp_path / "file" / "run"):
        pass
