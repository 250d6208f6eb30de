from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisette import StorageError
from noisette.storage import (
    MANIFEST,
    committed,
    create_array,
    digest,
    is_complete,
    make_directory,
    read_manifest,
    resumable,
    verify,
)
from noisette.storage.manifest import FileRecord, Manifest, write_manifest

FILES = {"a.npy": b"first file" * 7, "b.json": b'{"x": 1}', "empty": b""}
ABOUT = {"step": 5, "experiment": {"lr": 1e-4, "betas": [0.9, 0.999]}, "name": "Café"}


def write(target: Path, files: dict[str, bytes] = FILES, about: dict[str, Any] = ABOUT) -> Path:
    with committed(target, "samples", dict(about)) as staging:
        for name, content in files.items():
            (staging / name).write_bytes(content)
    return target


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "target"


def only(target: Path) -> bool:
    """Whether nothing lies beside the target."""
    return [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_written_directory_is_whole_and_says_what_it_is(target: Path) -> None:
    manifest = verify(write(target), "samples")
    assert manifest.about == ABOUT
    assert {name: record.bytes for name, record in manifest.files.items()} == {"a.npy": 70, "b.json": 8, "empty": 0}
    assert is_complete(target, "samples")
    assert {path.name for path in target.iterdir()} == {*FILES, MANIFEST}
    assert only(target)


def test_the_digest_is_that_of_the_content_alone(tmp_path: Path) -> None:
    one = verify(write(tmp_path / "one"), "samples")
    assert verify(write(tmp_path / "two", about={}), "samples").digest() == one.digest()
    assert verify(write(tmp_path / "three", {**FILES, "empty": b"!"}), "samples").digest() != one.digest()
    assert verify(write(tmp_path / "four", {**FILES, "other": b""}), "samples").digest() != one.digest()


def test_what_it_is_may_be_filled_in_while_writing(target: Path) -> None:
    about: dict[str, Any] = {}
    with committed(target, "samples", about):
        about["seconds"] = 0.1 + 0.2
    assert read_manifest(target, "samples").about == {"seconds": 0.1 + 0.2}


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_leaves_nothing_and_passes(target: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), committed(target, "samples", {}) as staging:
        (staging / "a").write_bytes(b"half")
        raise error
    assert list(target.parent.iterdir()) == []


def test_an_exception_leaves_the_old_state(target: Path) -> None:
    write(target)
    with pytest.raises(RuntimeError), committed(target, "samples", {}) as staging:
        (staging / "a.npy").write_bytes(b"half")
        raise RuntimeError
    assert verify(target, "samples").about == ABOUT
    assert only(target)


def test_a_target_that_is_there_is_replaced(target: Path) -> None:
    write(target)
    write(target, {"new": b"x"}, {"step": 6})
    assert verify(target, "samples").about == {"step": 6}
    assert {path.name for path in target.iterdir()} == {"new", MANIFEST}
    assert only(target)


def test_a_replacement_that_fails_puts_the_old_state_back(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(target)
    rename = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self.name.startswith(".staging-"):
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(StorageError, match="cannot be written: Input/output error; nothing was changed"):
        write(target, {"new": b"x"})
    assert verify(target, "samples").about == ABOUT
    assert only(target)


@pytest.mark.parametrize("moment", [".staging-", "target"])
def test_one_that_another_process_was_faster_with_is_replaced(
    target: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another process renames between our look at the target and our own renaming of it."""
    rename, apart, came = Path.rename, target.with_name("apart"), []
    write(apart)
    if moment == "target":
        write(target)

    def later(self: Path, to: Path) -> Path:
        if self.name.startswith(moment) and not came:
            came.append(self.name)
            if moment == "target":
                rename(target, target.with_name("theirs"))  # they set the old one aside
            else:
                rename(apart, target)  # they are done
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", later)
    write(target, {"new": b"x"}, {"step": 6})
    assert came
    assert verify(target, "samples").about == {"step": 6}
    assert not list(target.parent.glob(".*"))


def test_the_target_appears_only_when_all_is_there(target: Path) -> None:
    with committed(target, "samples", {}) as staging:
        (staging / "a").write_bytes(b"half")
        assert not target.exists()
        assert not is_complete(staging, "samples")
    assert is_complete(target, "samples")


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="target: cannot be written: Not a directory; nothing was changed"):
        write(tmp_path / "file" / "target")


def test_an_error_of_reading_something_else_is_not_taken_for_one_of_writing(target: Path) -> None:
    with pytest.raises(FileNotFoundError), committed(target, "samples", {}):
        Path("no-such-image.png").read_bytes()
    with pytest.raises(ValueError, match="of its own"), committed(target, "samples", {}):
        raise ValueError("a trouble of its own")


def test_a_folder_inside_is_refused(target: Path) -> None:
    with pytest.raises(StorageError, match="Is a directory"), committed(target, "samples", {}) as staging:
        (staging / "folder").mkdir()


def flips(path: Path) -> list[tuple[int, int]]:
    size = path.stat().st_size
    return [(byte, bit) for byte in range(size) for bit in range(8)]


def test_every_flipped_bit_of_every_file_is_found(target: Path) -> None:
    """The control: sizes alone find none of the flips in the files beside the manifest."""
    verify(write(target, {"a": b"some content", "b": b"!"}, {"step": 5, "lr": 1e-5, "name": "Café"}), "samples")
    unseen_by_size = 0
    for path in sorted(target.iterdir()):
        content = path.read_bytes()
        for byte, bit in flips(path):
            damaged = bytearray(content)
            damaged[byte] ^= 1 << bit
            path.write_bytes(damaged)
            unseen_by_size += path.name != MANIFEST and is_complete(target, "samples")
            with pytest.raises(StorageError, match=path.name):
                verify(target, "samples")
        path.write_bytes(content)
    verify(target, "samples")
    assert unseen_by_size == 8 * 13


@pytest.mark.parametrize("name", ["target", "a[bc]*?"])
@pytest.mark.parametrize("prefix", [".staging-", ".replaced-"])
def test_what_a_process_of_our_own_number_left_is_swept_up(tmp_path: Path, name: str, prefix: str) -> None:
    """Numbers come again: in a container every start may have the same one."""
    write(tmp_path / name)
    (tmp_path / f"{prefix}{name}-{os.getpid()}").mkdir()
    write(tmp_path / name)
    assert only(tmp_path / name)


def test_a_file_of_another_size_is_said_so(target: Path) -> None:
    (write(target) / "b.json").write_bytes(b"{}")
    with pytest.raises(StorageError, match=r"b\.json: expected 8 bytes; it has 2"):
        verify(target, "samples")


def test_every_truncation_is_found(target: Path) -> None:
    write(target)
    for path in sorted(target.iterdir()):
        content = path.read_bytes()
        for size in range(len(content)):
            path.write_bytes(content[:size])
            with pytest.raises(StorageError):
                verify(target, "samples")
            assert not is_complete(target, "samples")
        path.write_bytes(content)
    verify(target, "samples")


def test_a_missing_file_a_link_and_a_folder_in_its_place_are_found(target: Path) -> None:
    write(target)
    file = target / "a.npy"
    kept = file.rename(target.parent / "elsewhere")
    for put in (lambda: None, lambda: file.symlink_to(kept), lambda: file.mkdir()):
        put()
        assert not is_complete(target, "samples")
        with pytest.raises(StorageError, match=r"a\.npy: is missing"):
            verify(target, "samples")
        file.unlink(missing_ok=True) if not file.is_dir() or file.is_symlink() else file.rmdir()


def put(target: Path, name: str) -> Path:
    """Write a well sealed manifest that names a file."""
    target.mkdir(parents=True)
    record = FileRecord(bytes=0, sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    write_manifest(target, Manifest.model_construct(format=1, kind="samples", about={}, files={name: record}))
    return target


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/b", "..", ".", "", "a\\b", "a\0b", MANIFEST])
def test_a_manifest_names_only_files_beside_it(target: Path, name: str) -> None:
    put(target, name)
    (target.parent / "secret").touch()
    with pytest.raises(StorageError, match=r"damaged: .*validation error"):
        verify(target, "samples")
    assert not is_complete(target, "samples")


def test_a_manifest_that_names_an_empty_file_beside_it_holds(target: Path) -> None:
    (put(target, "fine") / "fine").touch()
    assert verify(target, "samples")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"17",
        b"null",
        b"{}",
        b'{"kind": "samples"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"about": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{"format": 1e999}',
        b"9" * 10_000,
        b"\xff\xfe\x00",
        b'{"format": 1, "kind": "samples", "about": {}, "files": {}}',
        b'{"format": 1, "kind": "samples", "about": {}, "files": {}, "seal": 3}',
        b'{"format": 1, "kind": "samples", "about": {}, "files": {"a": {"bytes": -1, "sha256": ""}}}',
    ],
)
def test_a_manifest_that_is_none_is_refused_in_one_line(target: Path, content: bytes) -> None:
    write(target)
    (target / MANIFEST).write_bytes(content)
    with pytest.raises(StorageError) as caught:
        read_manifest(target, "samples")
    assert str(caught.value).startswith(f"{target / MANIFEST}: damaged: ")
    assert "\n" not in str(caught.value)
    assert not is_complete(target, "samples")


def test_a_giant_manifest_is_refused_unread(target: Path) -> None:
    write(target)
    os.truncate(target / MANIFEST, 10 * 2**30)  # sparse: it takes no disk, and reading it would take 10 GiB
    with pytest.raises(StorageError, match="expected at most 67108864 bytes; it has 10737418240"):
        read_manifest(target, "samples")


def test_a_manifest_must_be_there_and_be_a_file(target: Path) -> None:
    with pytest.raises(StorageError, match=r"expected finished samples with a MANIFEST\.json; there is none"):
        read_manifest(target, "samples")
    write(target)
    moved = (target / MANIFEST).rename(target.parent / "moved")
    (target / MANIFEST).symlink_to(moved)
    with pytest.raises(StorageError, match="there is none"):
        read_manifest(target, "samples")


def test_another_kind_or_format_is_refused(target: Path) -> None:
    write(target)
    with pytest.raises(StorageError, match="expected checkpoint in format 1; got samples in format 1"):
        verify(target, "checkpoint")
    write_manifest(target, read_manifest(target, "samples").model_copy(update={"format": 2}))
    with pytest.raises(StorageError, match="expected samples in format 1; got samples in format 2"):
        verify(target, "samples")


def test_a_changed_word_about_the_content_is_found(target: Path) -> None:
    content = json.loads((write(target) / MANIFEST).read_text())
    content["about"]["step"] = 6
    (target / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(StorageError, match="its seal differs"):
        read_manifest(target, "samples")
    content["about"]["step"] = 5
    (target / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(StorageError, match="it is not in canonical form"):
        read_manifest(target, "samples")
    (target / MANIFEST).write_text(json.dumps(content, indent=1))
    assert read_manifest(target, "samples").about == ABOUT


def test_digests_tell_parts_apart_and_do_not_mind_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    different = [digest(*parts) for parts in ((1, 2), ([1, 2],), (12,), ("1", 2), (1.0, 2), (2, 1), (), ("",))]
    assert len(set(different)) == len(different)
    assert all(len(key) == 10 for key in different)
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))


def test_an_array_on_disk_has_its_space_and_starts_as_zeros(tmp_path: Path) -> None:
    array = create_array(tmp_path / "a.npy", (3, 1000, 1000), np.uint8)
    assert not array.any()
    array[1] = 7
    array.flush()
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 3_000_000
    again = np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
    assert again.shape == (3, 1000, 1000)
    assert (again[1] == 7).all()


def begin(target: Path, *, then: type[BaseException] | None = None) -> list[str]:
    """Write one more file of a long work; return those that were there at its start."""
    with resumable(target, "samples", {}) as staging:
        there = sorted(path.name for path in staging.iterdir() if not path.name.startswith("."))
        (staging / f"part-{len(there)}").write_bytes(b"x")
        (staging / ".notes").write_bytes(b"the writer's own")
        if then is not None:
            raise then
    return there


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupted_work_finds_what_it_had_written(target: Path, interrupt: type[BaseException]) -> None:
    with pytest.raises(interrupt):
        begin(target, then=interrupt)
    assert not target.exists()
    assert begin(target) == ["part-0"]
    assert set(verify(target, "samples").files) == {"part-0", "part-1"}
    assert {path.name for path in target.iterdir()} == {"part-0", "part-1", MANIFEST}
    assert only(target)


def test_after_an_error_there_is_nothing_to_go_on_with(target: Path) -> None:
    with pytest.raises(RuntimeError):
        begin(target, then=RuntimeError)
    assert list(target.parent.iterdir()) == []
    assert begin(target) == []


def test_long_work_has_one_owner(target: Path) -> None:
    with resumable(target, "samples", {}):
        with pytest.raises(StorageError, match=f"process {os.getpid()} is working"):
            begin(target)
        begin(target.with_name("other"))
    assert is_complete(target, "samples")


def test_new_directories_are_flushed_into_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr("noisette.storage.files.sync", flushed.append)
    make_directory(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]
    make_directory(tmp_path / "a" / "b")
    assert len(flushed) == 2
