"""tools/setup_env.py: what is missing on a machine is said in one sentence, before anything is done."""

import ast
import builtins
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"os.name": "nt"}, "inside WSL"),
        ({"sys.platform": "darwin", "machine": "x86_64"}, "no build for Intel Macs"),
        ({"sys.platform": "linux", "machine": "ppc64le"}, "no build for the processor ppc64le"),
        ({"sys.platform": "linux", "libc": "aarch64-unknown-linux-musl"}, "has musl"),
        ({"sys.maxsize": 2**31 - 1}, "has 32 bits"),
    ],
)
def test_systems_without_pytorch(where, told, monkeypatch, capsys):
    for name, value in where.items():
        if name in ("os.name", "sys.platform", "sys.maxsize"):
            monkeypatch.setattr(f"tools.setup_env.{name}", value)
    monkeypatch.setattr(setup_env.platform, "machine", lambda: where.get("machine", "x86_64"))
    monkeypatch.setattr(setup_env.sysconfig, "get_config_var", lambda name: where.get("libc"))
    with pytest.raises(SystemExit):
        setup_env.check_system()
    message = capsys.readouterr().err
    assert told in message and message.count("\n") == 1 and message.endswith(".\n")


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("linux", "x86_64")])
def test_systems_with_pytorch(system, machine, monkeypatch):
    monkeypatch.setattr("tools.setup_env.sys.platform", system)
    monkeypatch.setattr(setup_env.platform, "machine", lambda: machine)
    setup_env.check_system()


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


def test_a_moved_folder_is_installed_anew(tmp_path, monkeypatch):
    """The stamp holds the folder: without that, "make env" would call an environment ready that points elsewhere."""
    stamp, calls = tmp_path / "stamp", []
    monkeypatch.setattr(setup_env, "STAMP", str(stamp))
    stamp.write_text(setup_env.fingerprint())
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(Path(setup_env.ROOT, name), tmp_path)
    monkeypatch.setattr(setup_env, "ROOT", str(tmp_path))
    monkeypatch.setattr(setup_env, "make_environment", lambda: calls.append("environment"))
    monkeypatch.setattr(setup_env, "install_torch", lambda: None)
    monkeypatch.setattr(setup_env, "pip", lambda *arguments: calls.append(arguments[-2:]))
    setup_env.main()
    assert calls[0] == "environment" and calls[-1] == ("-e", str(tmp_path))
    calls.clear()
    setup_env.main()
    assert calls == [], "the second run in the new place does nothing"


@pytest.mark.parametrize("place", ["moved", "moved to Übung 1 & 2", "d" * 150])
def test_scripts_of_a_moved_environment_find_their_interpreter(tmp_path, place):
    old, new = tmp_path / "old place", tmp_path / place
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", old / ".venv"], check=True)
    says = "import sys; print(sys.prefix)\n"
    heads = {
        "short": f"#!{old}/.venv/bin/python3\n",
        "long": f"#!/bin/sh\n'''exec' \"{old}/.venv/bin/python\" \"$0\"\n' '''\n",
    }
    for name, head in heads.items():
        (old / ".venv" / "bin" / name).write_text(head + says)
        (old / ".venv" / "bin" / name).chmod(0o755)
    (old / ".venv" / "bin" / "other").write_text("#!/bin/sh\necho unharmed\n")
    old.rename(new)
    folder = new / ".venv" / "bin"
    setup_env.mend_scripts(str(folder))
    for name in heads:
        done = subprocess.run([folder / name], capture_output=True, text=True)
        assert Path(done.stdout.strip()) == new / ".venv", done.stderr
    assert (folder / "other").read_text() == "#!/bin/sh\necho unharmed\n"
    before = (folder / "long").read_bytes()
    setup_env.mend_scripts(str(folder))
    assert (folder / "long").read_bytes() == before
