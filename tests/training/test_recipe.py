"""What the recipes share: settings, log, checkpoints; and that each passport and model is the one that was measured."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from bookkit import files
from bookkit.errors import BookError
from training import recipe, registry
from training.grounded_qa import publish as grounded_qa
from training.pocket_diffusion import publish as pocket_diffusion
from training.pocket_gpt2 import passport as pocket_gpt2

# --- settings and the command -----------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text("seed: 1\nmodel: {size: wide, layers: 4}\nsmoke:\n  model: {layers: 1}\n", encoding="utf-8")
    return path


def test_smoke_and_changes_lie_over_the_settings(config):
    assert recipe.settings(config) == {"seed": 1, "model": {"size": "wide", "layers": 4}}
    assert recipe.settings(config, smoke=True)["model"] == {"size": "wide", "layers": 1}
    assert recipe.settings(config, True, ["model.layers=2", "seed=null"]) == {
        "seed": None,
        "model": {"size": "wide", "layers": 2},
    }


@pytest.mark.parametrize("change", ["model.layer=8", "layers=8", "model.layers", "model.layers=", "seed.x=1", "=3"])
def test_a_change_that_names_no_setting_is_refused(config, change):
    with pytest.raises(BookError, match=f'"{change}" changes no setting: .* a name from config.yml'):
        recipe.settings(config, changes=[change])


def test_the_work_folder_is_the_one_that_is_given_or_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("X_DIR", raising=False)
    assert recipe.work_folder("X_DIR", "x/y") == tmp_path / "cache/x/y"
    monkeypatch.setenv("X_DIR", str(tmp_path / "naïve folder"))
    assert recipe.work_folder("X_DIR", "x/y", smoke=True) == tmp_path / "naïve folder/smoke"
    assert recipe.work_folder("X_DIR", "x/y", str(tmp_path / "here")).is_dir()


def test_a_foreseeable_failure_is_one_sentence(capsys):
    def fail():
        raise BookError("This is why.")

    assert recipe.command("pocket-x", fail) == 1 and capsys.readouterr().err == "pocket-x: This is why.\n"
    assert recipe.command("pocket-x", lambda: "done") == 0 and not capsys.readouterr().err


def test_steps_run_in_order_with_what_the_command_line_says(tmp_path, config):
    ran = []

    def step(name):
        return lambda work, settings, options: ran.append((name, work.name, settings["seed"], options.stop_after))

    def run(*arguments):
        settings = lambda smoke, changes: recipe.settings(config, smoke, changes)  # noqa: E731
        work_folder = lambda given, smoke: recipe.work_folder("X_DIR", "x", given, smoke)  # noqa: E731
        steps = {"all": [step("first"), step("second")]}
        return recipe.run_steps("pocket-x", "What it does.", steps, settings, work_folder, list(arguments))

    assert run("all", "--smoke", "--work", str(tmp_path), "--set", "seed=7", "--stop-after", "3") == 0
    assert ran == [("first", "smoke", 7, 3), ("second", "smoke", 7, 3)]
    assert run("all", "--work", str(tmp_path), "--set", "sede=7") == 1 and len(ran) == 2
    with pytest.raises(SystemExit):
        run("tarin")


def test_the_pace_rises_to_one_and_falls_to_its_end():
    paces = [recipe.pace(step, 40, 5, 0.1) for step in range(40)]
    assert (
        paces[4] == paces[5] == 1 and paces[0] == 0.2 and paces == sorted(paces[:5]) + sorted(paces[5:], reverse=True)
    )
    assert 0.1 < paces[-1] < 0.11 and recipe.pace(40, 40, 5, 0.1) == 0.1


# --- log and checkpoints ----------------------------------------------------------------------------------


def test_a_resumed_log_drops_what_will_be_written_again(tmp_path):
    path = tmp_path / "run/log.jsonl"
    log = recipe.Log(path, 0)
    for step in (2, 4, 6):
        log.write({"step": step})
    bystander = recipe.Log(path, 4, writes=False)
    bystander.write({"step": 5})
    assert [entry["step"] for entry in recipe.read_lines(path)] == [2, 4, 6], "only the main process writes"
    resumed = recipe.Log(path, 4)
    resumed.write({"step": 6, "again": True})
    assert recipe.read_lines(path) == resumed.entries == [{"step": 2}, {"step": 4}, {"step": 6, "again": True}]
    assert bystander.entries == [{"step": 2}, {"step": 4}, {"step": 5}]


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / f"step-{step}"
    (made / "inner").mkdir(parents=True)
    (made / "weights").write_bytes(bytes(range(step, step + 40)))
    (made / "inner/state").write_text("x", encoding="utf-8")
    recipe.seal(made)
    return made


def cut_off(path: Path) -> None:
    (path / "weights").write_bytes(b"short")


def changed(path: Path) -> None:
    (path / "weights").write_bytes(bytes(40))


def missing(path: Path) -> None:
    (path / "inner/state").unlink()


def unsealed(path: Path) -> None:
    (path / recipe.MANIFEST).unlink()


def garbled(path: Path) -> None:
    (path / recipe.MANIFEST).write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "damage, told",
    [
        (cut_off, "weights has 5 bytes instead of 40"),
        (changed, "weights does not have the recorded sha256"),
        (missing, "state is missing"),
        (unsealed, "manifest.json is missing"),
        (garbled, "manifest.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_told_and_removed(tmp_path, damage, told):
    older, newer = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    damage(newer)
    said = []
    assert recipe.newest(tmp_path, "step", said.append, removes=False) == older and newer.exists()
    assert said == [f"The checkpoint step-10 is damaged ({told}): going back to the one before."]
    assert recipe.newest(tmp_path, "step", said.append) == older and not newer.exists()
    assert recipe.step_of(older) == 9


def test_without_a_whole_checkpoint_a_run_begins_anew_and_keeps_what_it_saves(tmp_path):
    from training.pocket_gpt2 import checkpoints

    for step in (30, 40):
        cut_off(checkpoint(tmp_path, step))
    assert recipe.newest(tmp_path, "step", lambda told: None) is None and recipe.step_of(None) == 0
    for step in (10, 20):
        saved = checkpoints.save(tmp_path, step, lambda to: (to / "weights").write_bytes(b"x"), keep=2)
    assert recipe.newest(tmp_path, "step") == saved and len(recipe.checkpoints(tmp_path, "step")) == 2


def test_too_little_disk_is_told(tmp_path):
    recipe.need_space(tmp_path, 1, "it")
    with pytest.raises(BookError, match="it needs 1,000,000,000,000 MB in .* make room"):
        recipe.need_space(tmp_path, 10**18, "it")


# --- passports --------------------------------------------------------------------------------------------

RECIPES = pytest.mark.parametrize(
    "published", [pocket_gpt2, grounded_qa, pocket_diffusion], ids=["pocket_gpt2", "grounded_qa", "pocket_diffusion"]
)


def words(page: str) -> str:
    """A passport without its drawings, which matplotlib's next release may make otherwise."""
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


@RECIPES
def test_the_shipped_passport_is_made_from_the_shipped_results(published, tmp_path):
    for folder in ("data/passports", "data/results"):
        shutil.copytree(recipe.ROOT / folder, tmp_path / folder)
    published.write(tmp_path)
    made = (tmp_path / published.PAGE).read_text(encoding="utf-8")
    assert words(made) == words((recipe.ROOT / published.PAGE).read_text(encoding="utf-8"))
    results = recipe.ROOT / published.RESULTS
    recipe.write_json(tmp_path / "again.json", json.loads(results.read_text(encoding="utf-8")))
    assert (tmp_path / "again.json").read_bytes() == results.read_bytes()


def test_the_shipped_models_are_the_measured_ones():
    roles = yaml.safe_load((recipe.ROOT / registry.REGISTRY).read_text(encoding="utf-8"))["roles"]
    measured = {}
    for module in (pocket_gpt2, grounded_qa, pocket_diffusion):
        found = json.loads((recipe.ROOT / module.RESULTS).read_text(encoding="utf-8"))["files"]
        measured |= found if module is pocket_diffusion else {module.ROLE: found}
    assert measured.keys() == {"gpt2", "grounded-qa", "text-to-image", "judge"}
    for role, found in measured.items():
        pocket = roles[role]["pocket"]
        assert found == pocket["files"] == files.inventory(recipe.ROOT / pocket["path"]), role


def test_registering_what_is_shipped_changes_nothing(tmp_path):
    path = tmp_path / registry.REGISTRY
    path.parent.mkdir()
    shutil.copy(recipe.ROOT / registry.REGISTRY, path)
    before = path.read_text(encoding="utf-8")
    for role in ("gpt2", "grounded-qa", "text-to-image", "judge"):
        pocket = yaml.safe_load(before)["roles"][role]["pocket"]
        (tmp_path / pocket["path"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / pocket["path"]).symlink_to(recipe.ROOT / pocket["path"])
        told = {key: pocket[key] for key in ("origin", "licence", "parameters", "passport")}
        assert registry.register(role, pocket["path"], **told, root=tmp_path) == pocket["files"]
    assert path.read_text(encoding="utf-8") == before


def test_a_role_that_the_registry_lacks_is_refused(tmp_path):
    path = tmp_path / registry.REGISTRY
    path.parent.mkdir()
    path.write_text("roles:\n  gpt2:\n    title: x\n    pocket:\n      kind: later\n", encoding="utf-8")
    with pytest.raises(BookError, match='no role "gtp2"'):
        registry.register("gtp2", "x", origin="", licence="", parameters=0, passport="", root=tmp_path)
