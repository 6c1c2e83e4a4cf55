"""The scene types, read from ``data/scenes/*.txt``.

A scene begins with ``== name`` and a head of ``key: value`` lines, then come its lines:

``- text // text``            told, nothing changes
``put kid thing box: text``   an action of :class:`world.World` and how it is told; without a text the
                              action's own tellings are used; ``@ put …`` changes the world in silence
``kid> text // text``         somebody speaks (``kid(sadly)> …`` says how)
``simulate 4 kid pal thing``  some random possible moves
``go park``                   everybody moves to another place of the scene

A line may be optional (``? …``, told half the time), or one of several (``1) …``, ``2) …``: of a run of numbered
lines, all those with one number happen). ``~so``, ``~but`` and ``~then`` before a text say how it follows from
the line before. Heads: ``in`` (places), ``bind`` (things and others), ``title``, ``kind``, ``with`` (world:
people, woods or any), ``split`` (where it is not left to chance), ``cols`` and ``+`` rows (every row makes a
scene type of its own).
"""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache

from training.pocket_gpt2.story_engine.templates import DATA

HELD_OUT = 12  # of every 12 scene types, about one each goes to validation and to test


@dataclass(frozen=True)
class Line:
    """One line of a scene."""

    action: tuple[str, ...] = ()
    silent: bool = False
    speaker: str = ""
    manner: str = ""
    texts: tuple[str, ...] = ()
    optional: bool = False
    branch: str = ""


@dataclass(frozen=True)
class Scene:
    """One scene type."""

    name: str
    kind: str = "scene"  # scene, opening, ending, explanation, dialogue
    world: str = "people"
    places: tuple[str, ...] = ("home",)
    bind: tuple[tuple[str, str], ...] = ()
    titles: tuple[str, ...] = ()
    lines: tuple[Line, ...] = field(default=(), repr=False)
    fixed: str = ""

    @property
    def family(self) -> str:
        """The name without the row: a story takes one scene of a family at most."""
        return self.name.split(":")[0]

    @property
    def split(self) -> str:
        """Which split the scene type belongs to; rows of a family are told apart too. Endings are for all."""
        if self.fixed or self.kind == "ending":
            return self.fixed or "train"
        digest = hashlib.sha256(self.name.encode()).digest()
        number = int.from_bytes(digest[:4], "big") % HELD_OUT
        return {0: "test", 1: "validation"}.get(number, "train")


_LINE = re.compile(
    r"(?:(?P<branch>\d)\)\s*)?(?P<optional>\?\s*)?(?:(?P<speaker>[a-z]\w*)(?:\((?P<manner>[^)]*)\))?>|(?P<dash>-)|(?P<silent>@)?\s*"
    r"(?P<action>[a-z]+(?: [\w+]+)*)(?P<colon>:)?)\s*(?P<text>.*)$"
)


def parse_line(text: str) -> Line:
    """Read one line of a scene."""
    match = _LINE.match(text)
    if not match:
        raise ValueError(f"not a line of a scene: {text}")
    body = match["text"]
    return Line(
        action=tuple((match["action"] or "").split()),
        silent=bool(match["silent"]),
        speaker=match["speaker"] or "",
        manner=match["manner"] or "",
        texts=tuple(part.strip() for part in body.split("//")) if body else (),
        optional=bool(match["optional"]),
        branch=match["branch"] or "",
    )


def _scenes_of(block: str) -> list[Scene]:
    name, *lines = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith("#")]
    head, rows, body = {}, [], []
    for line in lines:
        key, _, value = line.partition(":")
        if not body and key in ("in", "bind", "title", "kind", "with", "cols", "split"):
            head[key] = value.strip()
        elif line.startswith("+"):
            rows.append([cell.strip() for cell in line[1:].split(" ; ")])
        else:
            body.append(line)
    columns = head.get("cols", "").split()
    if not columns:
        return [_scene(name, head, body)]
    made = []
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"scene {name}: the row {row} does not have the columns {columns}")
        label = re.sub(r"\W+", "-", row[0]).strip("-")
        cells = dict(zip(columns, row, strict=True))
        made.append(
            _scene(
                f"{name}:{label}",
                {key: _fill(value, cells) for key, value in head.items()},
                [_fill(line, cells) for line in body],
            )
        )
    return made


def _fill(text: str, cells: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: cells.get(match[1], match[0]), text)


def _scene(name: str, head: dict[str, str], body: list[str]) -> Scene:
    bind = [tuple(part.strip() for part in item.split("=")) for item in head.get("bind", "").split(";") if item.strip()]
    return Scene(
        name=name,
        kind=head.get("kind", "scene"),
        world=head.get("with", "people"),
        fixed=head.get("split", ""),
        places=tuple(head.get("in", "home").split()),
        bind=tuple(bind),
        titles=tuple(part.strip() for part in head["title"].split("//")) if "title" in head else (),
        lines=tuple(parse_line(line) for line in body),
    )


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Every scene type of the data files."""
    scenes = []
    for path in sorted((DATA / "scenes").glob("*.txt")):
        for block in re.split(r"^== ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            scenes += _scenes_of(block)
    names = [scene.name for scene in scenes]
    if len(set(names)) < len(names):
        raise ValueError(f"scene types with the same name: {sorted({n for n in names if names.count(n) > 1})}")
    return tuple(scenes)


@cache
def scenes(kind: str, world: str, split: str | None) -> tuple[Scene, ...]:
    """The scene types of a kind that fit a world ("people" or "woods") and belong to a split (None: to any)."""
    return tuple(
        scene
        for scene in all_scenes()
        if scene.kind == kind and scene.world in (world, "any") and (split is None or scene.split == split)
    )
