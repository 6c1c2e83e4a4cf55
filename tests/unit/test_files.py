"""bookkit.files: hashes, manifests, and writing whole or not at all."""

import errno
import hashlib
import json
import os
import stat

import pytest

from bookkit import BookError, files

NAME = "manifest.json"


@pytest.fixture
def folder(tmp_path):
    """A folder with two files and their manifest."""
    made = tmp_path / "model"
    (made / "part").mkdir(parents=True)
    (made / "config.json").write_bytes(b"{}")
    (made / "part" / "weights.bin").write_bytes(bytes(range(256)))
    files.write_manifest(made, NAME, {"version": "1.0"})
    return made


def leave_no_room(monkeypatch, at):
    """From the `at`-th file on, the disk is full."""
    real, opened = os.fdopen, []

    def fdopen(handle, mode):
        opened.append(handle)
        if len(opened) >= at:
            os.close(handle)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, mode)

    monkeypatch.setattr(files.os, "fdopen", fdopen)


# Hashes and manifests --------------------------------------------------------------------------------


def test_sha256_is_that_of_the_bytes(tmp_path):
    content = b"a\r\n" * 400_000
    (tmp_path / "x").write_bytes(content)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_a_manifest_says_what_is_there_but_not_itself(folder):
    record = json.loads((folder / NAME).read_text())
    assert record == {
        "version": "1.0",
        "files": {
            "config.json": {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()},
            "part/weights.bin": {"bytes": 256, "sha256": hashlib.sha256(bytes(range(256))).hexdigest()},
        },
    }
    before = (folder / NAME).read_bytes()
    files.write_manifest(folder, NAME, {"version": "1.0"})
    assert (folder / NAME).read_bytes() == before


def test_a_whole_folder_has_no_problem(folder):
    assert files.manifest_problem(folder, NAME) is None
    assert files.manifest_problem(folder, NAME, hashes=True) is None


def test_what_is_wrong_with_a_folder_is_told(folder):
    weights = folder / "part" / "weights.bin"
    weights.write_bytes(bytes(255) + b"x")
    assert files.manifest_problem(folder, NAME) is None, "sizes alone cannot tell"
    assert files.manifest_problem(folder, NAME, hashes=True) == "weights.bin does not have the recorded sha256"
    weights.write_bytes(bytes(1000))
    assert files.manifest_problem(folder, NAME) == "weights.bin has 1,000 bytes instead of 256"
    weights.unlink()
    assert files.manifest_problem(folder, NAME) == "weights.bin is missing"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": []}', '{"files": {"config.json": 3}}', '{"files": {"config.json": {}}}']
)
def test_a_damaged_manifest_is_told(folder, text):
    (folder / NAME).write_text(text)
    assert files.manifest_problem(folder, NAME) == f"{NAME} cannot be read"


def test_a_missing_manifest_is_told(folder):
    (folder / NAME).unlink()
    assert files.manifest_problem(folder, NAME) == f"{NAME} is missing"


# Writing ---------------------------------------------------------------------------------------------


def test_text_is_written_as_it_is(tmp_path):
    files.write_text(tmp_path / "new folder" / "ü.txt", "naïve\r\nend\n")
    assert (tmp_path / "new folder" / "ü.txt").read_bytes() == "naïve\r\nend\n".encode()
    assert stat.S_IMODE((tmp_path / "new folder" / "ü.txt").stat().st_mode) == 0o644


def test_an_equal_file_is_left_alone_and_a_changed_one_keeps_its_mode(tmp_path):
    path = tmp_path / "x.sh"
    path.write_bytes(b"old")
    path.chmod(0o750)
    os.utime(path, ns=(1, 1))
    files.write_text(path, "old")
    assert path.stat().st_mtime_ns == 1
    files.write_bytes(path, b"new\xff")
    assert path.read_bytes() == b"new\xff" and stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("old")
    leave_no_room(monkeypatch, at=1)
    with pytest.raises(BookError, match=r"x cannot be written \(No space left on device\): .*\.$"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_of_several_files_all_change_or_none(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("old")
    leave_no_room(monkeypatch, at=3)
    with pytest.raises(BookError, match="c cannot be written"):
        files.write_all(dict.fromkeys(paths, b"new"))
    assert [path.read_text() for path in paths] == ["old"] * 3 and sorted(tmp_path.iterdir()) == paths
    monkeypatch.undo()
    files.write_all(dict.fromkeys(paths, b"new"))
    assert [path.read_text() for path in paths] == ["new"] * 3 and sorted(tmp_path.iterdir()) == paths


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(tmp_path / "x", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BookError, match="cannot be written"):
        files.write_text(tmp_path / "file" / "x.txt", "text")
