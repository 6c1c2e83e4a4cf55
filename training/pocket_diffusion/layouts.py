"""Where a drawing stands in its picture and how large it is: the two layouts that a configuration chooses from.

*Fixed*, that of the 64-pixel model: one usual size in the centre, a small one that may stand at a side, a large one;
each moved by a few pixels. All sprites lie ready in every size.

*Free*: any size from half the frame to the full, anywhere that fits, mirrored where that makes no nonsense, and now
and then two subjects side by side. A picture's words (:class:`captions.Picture`) are chosen first and bound its
geometry; within those bounds the geometry is drawn anew whenever the picture is composed. So what a caption says is
true of every composition, and what it leaves open the random generator decides.
"""

import random
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from training.pocket_diffusion.captions import PLACES, SIZES, Picture

# --- fixed ------------------------------------------------------------------------------------------------

# size: (share of the frame that the longer side of the drawing takes, how often)
FIXED_SIZES = {"normal": (0.8125, 0.7), "large": (0.9375, 0.1), "small": (0.5, 0.2)}
# place: (columns, rows) to move from the centre, as a share of the free room; only small things are moved
FIXED_PLACES = {"centre": (0, 0), "left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}


class Fixed:
    """Three sizes, five places.

    Attributes:
        canvases: uint8 (sizes, sprites, 4, resolution, resolution), colours multiplied by alpha.
    """

    largest = max(share for share, _ in FIXED_SIZES.values())
    groups = ()  # held-out combinations of layouts that are evaluated: none

    def __init__(self, sprites: torch.Tensor, entries: list[dict], resolution: int, device: torch.device):
        """Lay all sprites out in every size.

        Args:
            sprites: uint8 (n, 4, s, s), colours multiplied by alpha.
            entries: for each sprite, the pack's entry of its subject.
            resolution: side of the pictures, in pixels.
            device: where to keep them.
        """
        self.resolution, self.device = resolution, device
        self.canvases = torch.stack([self._canvas(sprites, share) for share, _ in FIXED_SIZES.values()])

    def _canvas(self, sprites: torch.Tensor, share: float) -> torch.Tensor:
        """All sprites (n, 4, s, s) at one size, centred: uint8 (n, 4, resolution, resolution)."""
        side = round(share * self.resolution / 2) * 2
        before = (self.resolution - side) // 2
        parts = []
        for chunk in sprites.split(256):
            chunk = chunk.to(self.device)
            if side != chunk.shape[-1]:
                chunk = _resized(chunk, side, side).round()
            parts.append(F.pad(chunk.to(torch.uint8), (before, self.resolution - side - before) * 2))
        return torch.cat(parts)

    def usual(self, subject: str, style: str, background: str) -> Picture:
        """The picture whose size and place go without saying."""
        return Picture(subject, style, background)

    def vary(self, picture: Picture, rng: random.Random) -> Picture:
        """The same subject, style and background in a random size and, if small, place."""
        size = rng.choices(list(FIXED_SIZES), [often for _, often in FIXED_SIZES.values()])[0]
        place = rng.choice(list(FIXED_PLACES)) if size == "small" else "centre"
        return replace(picture, size=size, place=place)

    def accompany(self, picture: Picture, subjects: list[str], rng: random.Random) -> Picture:
        """The picture, perhaps with a second subject: never in this layout."""
        return picture

    def told(self, picture: Picture, rng: random.Random) -> Picture:
        """What a caption tells of the picture: all of it."""
        return picture

    def places(self, pictures: list[Picture], numbers: list[list[int]], rng: random.Random | None) -> list[tuple]:
        """Where each picture's sprite goes: (sprite, size, columns and rows from the centre)."""
        found = []
        for picture, (number,) in zip(pictures, numbers, strict=True):
            right, down = FIXED_PLACES[picture.place]
            share = FIXED_SIZES[picture.size][0]
            room = int(self.resolution * ((1 - share) / 2 - 1 / 32)) if share < 0.7 else 0
            wiggle = 0 if rng is None or picture.size == "large" else self.resolution // 32
            columns, rows = (by * room + (rng.randint(-wiggle, wiggle) if wiggle else 0) for by in (right, down))
            found.append((number, list(FIXED_SIZES).index(picture.size), columns, rows))
        return found

    def paint(self, places: list[tuple]) -> torch.Tensor:
        """The drawings without their grounds, (n, 4, resolution, resolution), colours multiplied by alpha."""
        sprites, sizes, columns, rows = (list(column) for column in zip(*places, strict=True))
        drawn = self.canvases[torch.tensor(sizes, device=self.device), torch.tensor(sprites, device=self.device)]
        return _shift(_shift(drawn, columns, dim=3), rows, dim=2).float()


# --- free -------------------------------------------------------------------------------------------------

# size: (shares of the frame that the longer side of the drawing takes, how often)
FREE_SIZES = {"small": ((0.5, 0.6), 0.3), "normal": ((0.64, 0.72), 0.3), "large": ((0.8, 0.9375), 0.3),
              "any": ((0.5, 0.9375), 0.1)}  # fmt: skip
# place: (how far the centre is from the frame's, towards which side; None: anywhere), how often
FREE_PLACES = {"left": ((-1, None), 0.17), "right": ((1, None), 0.17), "top": ((None, -1), 0.17),
               "bottom": ((None, 1), 0.17), "middle": ((0, 0), 0.22), "anywhere": ((None, None), 0.1)}  # fmt: skip
MOVABLE = ("small", "normal")  # what is larger has no room to stand at a side
MARGIN = 1 / 32  # of the frame stays free all around
ASIDE, CENTRAL = 0.1, 0.04  # "on the left" is at least so far from the centre, "in the middle" at most
PAIR = (0.38, 0.44)  # shares of the frame of two that stand side by side
GAP = 1 / 32  # between them
FLOOR = (0.64, 0.8)  # where both stand, from the top

MIRRORED_GROUPS = (3, 4)  # animals and nature, food and drink; signs, hands and clocks would turn into others
NOT_MIRRORED = frozenset({"moon cake", "fork and knife", "fork and knife with plate"})  # letters; the fork lies left


@dataclass(frozen=True)
class Box:
    """Where one drawing's bounding box lies, in pixels."""

    sprite: int
    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False


def _between(low: float, high: float, rng: random.Random | None) -> float:
    return (low + high) / 2 if rng is None else rng.uniform(low, high)


class Free:
    """Sizes from half to full, anywhere that fits; see the module.

    Attributes:
        neighbours: share of pictures with two subjects.
        said: {"size", "place", "neighbour": share of captions that tell it where there is a word for it}.
        extents: for each sprite, its bounding box (left, top, right, bottom) in the pack's pixels.
    """

    largest = max(high for (_, high), _ in FREE_SIZES.values())
    groups = ("placed", "layout", "beside", "neighbour")

    def __init__(self, sprites, entries, resolution, device, neighbours: float, said: dict[str, float]):
        """Like :class:`Fixed`; `neighbours` and `said` as above."""
        self.resolution, self.device, self.neighbours, self.said = resolution, device, neighbours, said
        self.sprites = sprites.to(device)
        self.side = sprites.shape[-1]
        self.extents = [_extent(sprite) for sprite in sprites]
        self.mirrors = [e["group"] in MIRRORED_GROUPS and e["name"] not in NOT_MIRRORED for e in entries]

    def usual(self, subject: str, style: str, background: str) -> Picture:
        """The picture of which size and place are left open."""
        return Picture(subject, style, background, "any", "anywhere")

    def vary(self, picture: Picture, rng: random.Random) -> Picture:
        """The same subject, style and background with a random word for the size and, if there is room, the place."""
        size = rng.choices(list(FREE_SIZES), [often for _, often in FREE_SIZES.values()])[0]
        place = "anywhere"
        if size in MOVABLE:
            place = rng.choices(list(FREE_PLACES), [often for _, often in FREE_PLACES.values()])[0]
        return replace(picture, size=size, place=place)

    def accompany(self, picture: Picture, subjects: list[str], rng: random.Random) -> Picture:
        """The picture, or now and then the subject beside another one, of which nothing else is said."""
        if rng.random() >= self.neighbours:
            return picture
        other = rng.choice([subject for subject in subjects if subject != picture.subject])
        return replace(picture, size="any", place="anywhere", neighbour=other)

    def told(self, picture: Picture, rng: random.Random) -> Picture:
        """What a caption tells of the picture."""
        return replace(
            picture,
            size=picture.size if rng.random() < self.said["size"] else "any",
            place=picture.place if rng.random() < self.said["place"] else "anywhere",
            neighbour=picture.neighbour if rng.random() < self.said["neighbour"] else None,
        )

    def places(self, pictures, numbers, rng) -> list[list[Box]]:
        """Where each picture's sprites go, as the picture's words allow; without `rng`, in the midst of that."""
        return [
            self._pair(sprites, rng) if len(sprites) == 2 else [self._alone(picture, *sprites, rng)]
            for picture, sprites in zip(pictures, numbers, strict=True)
        ]

    def _alone(self, picture: Picture, sprite: int, rng) -> Box:
        width, height = self._fitted(sprite, _between(*FREE_SIZES[picture.size][0], rng))
        toward, _ = FREE_PLACES[picture.place]
        middles = []
        for side, extent in zip(toward, (width, height), strict=True):
            room = max(0.0, (1 - extent) / 2 - MARGIN)
            if side is None:
                middles.append(0.5 + _between(-room, room, rng))
            elif side == 0:
                middles.append(0.5 + _between(-min(CENTRAL, room), min(CENTRAL, room), rng))
            else:
                middles.append(0.5 + side * _between(min(ASIDE, room), room, rng))
        return self._box(sprite, middles[0], middles[1] - height / 2, width, height, rng)

    def _pair(self, sprites: list[int], rng) -> list[Box]:
        order = sprites[::-1] if rng is not None and rng.random() < 0.5 else sprites
        share, floor = _between(*PAIR, rng), _between(*FLOOR, rng)
        half = 0.5 - MARGIN - GAP / 2
        boxes = []
        for sprite, middle in zip(order, (MARGIN + half / 2, 1 - MARGIN - half / 2), strict=True):
            width, height = self._fitted(sprite, share)
            room = (half - width) / 2
            boxes.append(self._box(sprite, middle + _between(-room, room, rng), floor - height, width, height, rng))
        return boxes

    def _fitted(self, sprite: int, share: float) -> tuple[float, float]:
        """Width and height of a drawing whose longer side takes `share`, as shares of the frame."""
        left, top, right, bottom = self.extents[sprite]
        return share * (right - left) / self.side, share * (bottom - top) / self.side

    def _box(self, sprite: int, middle: float, top: float, width: float, height: float, rng) -> Box:
        mirrored = self.mirrors[sprite] and rng is not None and rng.random() < 0.5
        columns, rows = (max(1, round(extent * self.resolution)) for extent in (width, height))
        left, top = round(middle * self.resolution - columns / 2), round(top * self.resolution)
        return Box(sprite, left, top, columns, rows, mirrored)

    def paint(self, places: list[list[Box]]) -> torch.Tensor:
        """The drawings without their grounds, (n, 4, resolution, resolution), colours multiplied by alpha."""
        frames = torch.zeros(len(places), 4, self.resolution, self.resolution, device=self.device)
        for frame, boxes in zip(frames, places, strict=True):
            for box in boxes:
                left, top, right, bottom = self.extents[box.sprite]
                cut = self.sprites[box.sprite, None, :, top:bottom, left:right]
                cut = _resized(cut, box.height, box.width)[0]
                target = frame[:, box.top : box.top + box.height, box.left : box.left + box.width]
                target += cut.flip(-1) if box.mirrored else cut
        return frames


def make(settings: dict | None, sprites: torch.Tensor, entries: list[dict], resolution: int, device: torch.device):
    """The layout that a configuration asks for: None for the fixed one, or the settings of the free one."""
    if settings is None:
        return Fixed(sprites, entries, resolution, device)
    return Free(sprites, entries, resolution, device, **settings)


def says(picture: Picture) -> dict[str, str]:
    """The parts of a picture's layout for which there are words: {"size": …, "place": …}."""
    words = {"size": (picture.size, SIZES), "place": (picture.place, PLACES)}
    return {name: chosen for name, (chosen, table) in words.items() if table[chosen][0]}


def said(pictures: list[Picture]) -> torch.Tensor:
    """What captions that tell these pictures say of their layout, in numbers: for each word for a size or a place, and
    for a neighbour, 1 if it is said and else 0; float32 (n, 8)."""
    sizes, places = ([word for word, phrases in table.items() if phrases[0]] for table in (SIZES, PLACES))
    return torch.tensor([
        [float(picture.size == word) for word in sizes] + [float(picture.place == word) for word in places]
        + [float(picture.neighbour is not None)]
        for picture in pictures
    ])  # fmt: skip


# --- pixels -----------------------------------------------------------------------------------------------


def _resized(sprites: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Sprites (n, 4, h, w) at another size, float32; no colour exceeds its alpha."""
    if sprites.shape[-2:] == (height, width):
        return sprites.float()
    sprites = F.interpolate(sprites.float(), (height, width), mode="bicubic", antialias=True).clamp(0, 255)
    sprites[:, :3] = torch.minimum(sprites[:, :3], sprites[:, 3:])  # bicubic overshoot
    return sprites


def _extent(sprite: torch.Tensor) -> tuple[int, int, int, int]:
    """The bounding box of what is drawn, (left, top, right, bottom)."""
    drawn = sprite[3] > 8
    rows, columns = (drawn.any(dim).nonzero().flatten().tolist() for dim in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _shift(batch: torch.Tensor, by: list[int], dim: int) -> torch.Tensor:
    """Each picture of a batch rolled by its own whole number of pixels along one dimension."""
    side = batch.shape[dim]
    index = (torch.arange(side) - torch.tensor(by)[:, None]) % side
    shape = [len(by), 1, 1, 1]
    shape[dim] = side
    return batch.gather(dim, index.to(batch.device).view(shape).expand_as(batch))
