"""bookkit.status and bookkit.machine: what a run took reaches the status, and what it says of the machine."""

import json
from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from bookkit import machine, status
from bookkit.errors import BookError

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {"seconds": 95.0, "peak_mb": 1234, "download_mb": 0, "cells": 30, "cores": 2, "verdict": "passed"}


@pytest.fixture
def book(tmp_path):
    for folder in ("data", "notebooks", "_build/meter"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_build/meter/01_chapter.json").write_text(json.dumps(MEASURED))
    (tmp_path / "notebooks/01_chapter.ipynb").touch()
    return tmp_path


def test_measurements_reach_the_status(book):
    (book / "_build/meter/99_gone.json").write_text(json.dumps(MEASURED))
    for name, text in {"02_failed": json.dumps(MEASURED | {"verdict": "failed"}), "03_cut_off": '{"secon'}.items():
        (book / f"notebooks/{name}.ipynb").touch()
        (book / f"_build/meter/{name}.json").write_text(text)
    assert "95.0 s" in status.update(book)[0]
    written = status.read(book)
    assert list(written["chapters"]) == ["01_chapter"]
    entry = written["chapters"]["01_chapter"]
    assert entry == {key: MEASURED[key] for key in entry} and "verdict" not in entry
    assert written["machine"]["cores"] > 0 and written["machine"]["python"].count(".") == 2


def test_a_second_update_changes_no_file(book):
    status.update(book)
    before = (book / "data/status.json").stat().st_mtime_ns
    status.update(book)
    assert (book / "data/status.json").stat().st_mtime_ns == before


def test_nothing_executed_yet(book):
    (book / "_build/meter/01_chapter.json").unlink()
    status.note_command(book, "book", 3.0)
    with pytest.raises(BookError, match="make book"):
        status.update(book)
    assert not (book / "data/status.json").exists()


def test_commands_are_noted_one_by_one_and_kept(book):
    status.note_command(book, "book", 612.34)
    status.note_command(book, "book again", 4.21)
    status.update(book)
    (book / "_build/meter/commands.json").write_text('{"book": 61')  # cut off
    status.note_command(book, "test", 400)
    status.update(book)
    assert status.read(book)["commands"] == {"book": 612.3, "book again": 4.2, "test": 400}


def test_lanes_that_passed_are_carried_over(book):
    rows = [
        {
            "chapter": "01_chapter",
            "lane": "avx2",
            "passed": True,
            "seconds": 20.04,
            "cell": "",
            "id": "",
            "differed": "",
        },
        {
            "chapter": "01_chapter",
            "lane": "plain",
            "passed": False,
            "seconds": 3.0,
            "cell": 4,
            "id": "x",
            "differed": "y",
        },
    ]
    (book / "_build/portable").mkdir()
    (book / "_build/portable/summary.json").write_text(json.dumps({"rows": rows}))
    status.update(book)
    assert status.read(book)["lanes"] == {"avx2": {"01_chapter": 20.0}}


def test_the_label_is_put_between_its_marks():
    cell = new_markdown_cell("# Title\n\n<!-- price:begin -->old<!-- price:end -->\n\nAfter.")
    status.put_label(new_notebook(cells=[cell]), "a.ipynb", MEASURED)
    assert status.price_label(MEASURED) in cell.source and "old" not in cell.source
    assert cell.source.startswith("# Title") and cell.source.endswith("After.")
    assert "1.6 minutes on 2 cores, 1.2 GB of memory, no models to fetch" in cell.source


def test_a_chapter_without_a_place_for_the_label():
    with pytest.raises(BookError, match="a.ipynb has no price label"):
        status.put_label(new_notebook(cells=[new_markdown_cell("# Title")]), "a.ipynb", MEASURED)


# --- the machine ----------------------------------------------------------------------------------------------

CPUINFO = "processor\t: 0\nmodel name\t: Example 9000\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"
MAC = "hw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\nmachdep.cpu.leaf7_features: BMI1 AVX2\n"


@pytest.mark.parametrize(
    ("platform", "cpuinfo", "sysctl", "found"),
    [
        ("linux", CPUINFO, "", {"AVX2": True, "AVX-512": True, "bf16": True, "AMX": False}),
        ("linux", ARM, "", {"AVX2": False, "AVX-512": False, "bf16": True, "AMX": False}),
        ("darwin", None, MAC, {"AVX2": True, "AVX-512": False, "bf16": True, "AMX": False}),
        ("darwin", None, "", {}),
        ("win32", None, "", {}),
    ],
)
def test_features_as_each_system_tells_them(monkeypatch, platform, cpuinfo, sysctl, found):
    def read_text(self, **how):
        if cpuinfo is None:
            raise FileNotFoundError(self)
        return cpuinfo

    monkeypatch.setattr(machine.sys, "platform", platform)
    monkeypatch.setattr(machine.Path, "read_text", read_text)
    monkeypatch.setattr(machine, "_sysctl", lambda *words: sysctl)
    described = machine.describe()
    assert described["features"] == found and described["processor"]
    assert ("Example 9000" in described["processor"]) == (cpuinfo == CPUINFO)


def test_a_system_without_sysctl(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine._sysctl("hw.optional") == ""


# --- the words on the status page ---------------------------------------------------------------------------------

HAS = {"AVX2": True, "AVX-512": False, "bf16": False, "AMX": False}


@pytest.mark.parametrize(
    ("features", "cores", "told"),
    [
        (HAS, {1}, "Each chapter ran on one core. The processor has AVX2; it lacks AVX-512, bf16 and AMX."),
        (dict.fromkeys(HAS, True), {2}, "Python 3.11.7. The processor has AVX2, AVX-512, bf16 and AMX."),
        (dict.fromkeys(HAS, False), {2}, "Python 3.11.7. The processor lacks AVX2, AVX-512, bf16 and AMX."),
        ({}, {2}, "Its system does not tell"),
        (None, {2}, "Its system does not tell"),
    ],
)
def test_the_machine_in_words(monkeypatch, features, cores, told):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    import status_table

    recorded = {"processor": "Example 9000", "cores": 2, "python": "3.11.7", "features": features}
    said = status_table.about(recorded, cores)
    assert said.startswith("Measured on Example 9000 with 2 cores and Python 3.11.7.") and told in said
    assert status_table.about({}, cores) == "The machine was not recorded."
