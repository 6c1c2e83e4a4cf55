"""tools/setup_env.py: what is missing on a machine is said in one sentence, before anything is done."""

import ast
import builtins
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from tools import setup_env

Version = namedtuple("Version", "major minor micro releaselevel serial")


def refusal(capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        setup_env.check_machine()
    assert stop.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1, "one sentence"
    return message


def test_this_machine_is_fine():
    setup_env.check_machine()


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 14)])
def test_another_python(version, monkeypatch, capsys):
    monkeypatch.setattr(setup_env.sys, "version_info", Version(*version, 1, "final", 0))
    message = refusal(capsys)
    assert "Python 3.11, 3.12 or 3.13 is needed and this is {}.{}".format(*version) in message


def test_no_venv_module(monkeypatch, capsys):
    real = builtins.__import__

    def without_ensurepip(name, *arguments, **options):
        if name == "ensurepip":
            raise ImportError
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_ensurepip)
    assert "python3-venv" in refusal(capsys)


def test_no_make(monkeypatch, capsys):
    monkeypatch.setattr(setup_env.shutil, "which", lambda name: None)
    assert "make is missing" in refusal(capsys)


def test_full_disk(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(setup_env, "STAMP", str(tmp_path / "none"))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(setup_env.shutil, "disk_usage", lambda path: usage._replace(free=10**9))
    assert "1.0 GB free" in refusal(capsys)


def test_old_interpreters_can_read_it():
    tree = ast.parse(Path(setup_env.__file__).read_text(encoding="utf-8"), feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr)
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, new)]


@pytest.mark.parametrize(
    "gpu, index, expected",
    [(True, True, ["torch=="]), (False, True, ["torch==", "--index-url"]), (False, False, ["torch=="])],
)
def test_torch_comes_from_the_right_place(gpu, index, expected, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(setup_env, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(setup_env, "answers", lambda url: index)
    monkeypatch.setattr(setup_env, "pip", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(setup_env.sys, "platform", "linux")
    setup_env.install_torch()
    (arguments,) = calls
    assert arguments[0].startswith("torch==") and ("--index-url" in arguments) == ("--index-url" in expected)
    assert arguments[0] in capsys.readouterr().out, "it says what it took"


def test_an_index_that_does_not_answer():
    assert not setup_env.answers("http://127.0.0.1:9")


def test_the_second_run_does_nothing(tmp_path, monkeypatch):
    stamp = tmp_path / "stamp"
    monkeypatch.setattr(setup_env, "STAMP", str(stamp))
    stamp.write_text(setup_env.fingerprint())
    monkeypatch.setattr(setup_env, "install_torch", lambda: pytest.fail("installed again"))
    setup_env.main()
