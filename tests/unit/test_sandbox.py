"""Code of a model runs apart: what goes right is None, whatever goes wrong is a line, and nothing is left."""

import time

import pytest

from bookkit import sandbox


def test_a_program_that_ends_well():
    assert sandbox.run("print('hello')\nassert 1 + 1 == 2") is None


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("assert 1 == 2, 'no'", "AssertionError: no"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "ended with code 3"),
        ("\0", "could not be started"),
    ],
)
def test_what_goes_wrong_is_told_in_a_line(code, told):
    problem = sandbox.run(code)
    assert told in problem and "\n" not in problem


def test_an_endless_loop_ends():
    began = time.monotonic()
    assert "did not end within 1 seconds" in sandbox.run("while True: pass", seconds=1)
    assert time.monotonic() - began < 10


def test_no_key_and_no_folder_of_ours_is_seen(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    code = "import os, sys\nassert 'OPENAI_API_KEY' not in os.environ\nassert os.listdir('.') == []"
    assert sandbox.run(code) is None


@pytest.mark.skipif("sys.platform != 'linux'", reason="other systems limit memory differently")
def test_memory_and_files_are_limited():
    assert "MemoryError" in sandbox.run("x = bytearray(10**10)")
    assert sandbox.run("with open('x', 'w') as file: file.write('a' * 10**6)") is not None
