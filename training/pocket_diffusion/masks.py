"""Size, place, number and direction of what a picture shows, measured from its pixels.

No network judges here. Grounds are plain, so the drawing is what differs from the colour of the border. It is lost
where both have the same colour (an egg on white); the same measures of real pictures say how often.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from training.pocket_diffusion import layouts
from training.pocket_diffusion.captions import Picture

DIFFERS = 18  # distance in CIELAB from the ground's colour; the named grounds are more than 30 apart
SPECK = 0.03  # pieces smaller than this share of the largest are no part of the drawing
SMALL, LARGE = 0.62, 0.76  # shares of the frame: small is below, large above
OFF = 0.07  # of the frame: "in the middle" is less than this from its centre, "on the left" is more
TWO = 0.1  # each of two things has at least this share of what is drawn
SURE = 0.15  # of the difference between a drawing and its mirror image, by which one of them must be nearer
LOPSIDED = 0.1  # root mean square difference from its mirror image from which on a drawing has a direction


@dataclass(frozen=True)
class Drawn:
    """What was found in a picture, as shares of the frame.

    Attributes:
        share: of the longer side.
        x, y: the centre of the bounding box, from the left and from the top.
        box: (left, top, right, bottom) in pixels.
        gap: the column, in pixels, that parts two things standing side by side; None if there is one.
    """

    share: float
    x: float
    y: float
    box: tuple[int, int, int, int]
    gap: int | None


def border(pictures: torch.Tensor) -> torch.Tensor:
    """The median colour of the outermost 1/32 of each picture (at least a pixel), (n, 3) in [-1, 1]."""
    width = max(1, pictures.shape[-1] // 32)
    frame = torch.cat([part.flatten(2) for part in (pictures[:, :, :width], pictures[:, :, -width:],
                                                    pictures[..., :width], pictures[..., -width:])], dim=2)  # fmt: skip
    return frame.median(dim=2).values


def lab(colours: torch.Tensor) -> torch.Tensor:
    """sRGB (…, 3) in [0, 1] as CIELAB under D65 (IEC 61966-2-1; CIE 15)."""
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    white = torch.tensor([0.95047, 1.0, 1.08883])
    xyz = linear @ matrix.T.to(colours) / white.to(colours)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def drawn_pixels(pictures: torch.Tensor) -> torch.Tensor:
    """Where a picture (n, 3, h, w) in [-1, 1] differs from its ground, bool (n, h, w), without single pixels."""
    pictures = pictures.float().cpu().clamp(-1, 1)
    ground = lab((border(pictures) + 1) / 2)[:, None, None]
    differs = ((lab((pictures.permute(0, 2, 3, 1) + 1) / 2) - ground).norm(dim=-1) > DIFFERS).float()
    return (differs > 0) & (F.avg_pool2d(differs[:, None], 3, 1, 1)[:, 0] > 0.4)


def find(pictures: torch.Tensor) -> list[Drawn | None]:
    """What each picture (n, 3, h, w) in [-1, 1] shows; None where nothing is drawn."""
    return [_find(mask.numpy()) for mask in drawn_pixels(pictures)]


def _find(mask: np.ndarray) -> Drawn | None:
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return None
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    mask = (areas >= SPECK * areas.max())[pieces]
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    side = mask.shape[-1]
    return Drawn(
        share=float(max(right - left, bottom - top) / side),
        x=float((left + right) / 2 / side),
        y=float((top + bottom) / 2 / side),
        box=(int(left), int(top), int(right), int(bottom)),
        gap=_gap(mask.sum(0)),
    )


def _gap(columns: np.ndarray) -> int | None:
    """The middle of the widest run of empty columns with enough on either side of it; None if there is none."""
    done = np.cumsum(columns) / columns.sum()
    empty = np.flatnonzero((columns == 0) & (done >= TWO) & (done <= 1 - TWO))
    if not len(empty):
        return None
    run = max(np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1), key=len)
    return int(run[len(run) // 2])


# --- size, place, number ----------------------------------------------------------------------------------


def size(found: Drawn) -> str:
    """The word for its size, as layouts has it."""
    return "small" if found.share < SMALL else "large" if found.share > LARGE else "normal"


def stands(found: Drawn, place: str) -> bool:
    """Whether it stands where this word says."""
    toward, _ = layouts.FREE_PLACES[place]
    away = (found.x - 0.5, found.y - 0.5)
    return all(
        wanted is None or (abs(moved) < OFF if wanted == 0 else wanted * moved > OFF)
        for wanted, moved in zip(toward, away, strict=True)
    )


def agrees(found: Drawn | None, asked: Picture) -> dict[str, bool]:
    """Whether what was found has the size, place and number that are asked for, for each of them that is named."""
    named = layouts.says(asked)
    scores = {}
    if "size" in named:
        scores["size"] = found is not None and size(found) == named["size"]
    if "place" in named:
        scores["place"] = found is not None and stands(found, named["place"])
    if asked.neighbour:
        scores["two"] = found is not None and found.gap is not None
    return scores


def halves(pictures: torch.Tensor, found: list[Drawn | None]) -> torch.Tensor:
    """Each picture parted at its gap (without one, in its middle) into two, each thing in the middle of its own ground.

    Args:
        pictures: (n, 3, h, w).
        found: what :func:`find` says of them.

    Returns:
        (n, 2, 3, h, w), the left thing first.
    """
    side = pictures.shape[-1]
    parted = border(pictures)[:, None, :, None, None].repeat(1, 2, 1, *pictures.shape[-2:])
    for picture, seen, (one, other) in zip(pictures, found, parted, strict=True):
        gap = seen.gap if seen and seen.gap is not None else side // 2
        start = (side - gap) // 2
        one[..., start : start + gap] = picture[..., :gap]
        start = gap // 2
        other[..., start : start + side - gap] = picture[..., gap:]
    return parted


# --- direction and difference -----------------------------------------------------------------------------


def directions(pictures: torch.Tensor, unmirrored: torch.Tensor) -> list[str | None]:
    """Whether each picture shows its drawing "as drawn" or "mirrored"; None where the drawing is (almost) its own
    mirror image, or neither is clearly nearer.

    Args:
        pictures: (n, 3, h, w) in [-1, 1].
        unmirrored: real pictures of the same subjects, styles and backgrounds, not mirrored.
    """
    return [_direction(*pair) for pair in zip(cut(pictures), cut(unmirrored), strict=True)]


def cut(pictures: torch.Tensor) -> torch.Tensor:
    """What is drawn, cut out and scaled to 32 × 32 (where nothing is found, the whole picture), (n, 3, 32, 32)."""
    whole = (0, 0, *pictures.shape[:-3:-1])
    parts = []
    for picture, found in zip(pictures.float().cpu(), find(pictures), strict=True):
        left, top, right, bottom = found.box if found else whole
        parts.append(F.interpolate(picture[None, :, top:bottom, left:right], (32, 32), mode="area"))
    return torch.cat(parts)


def centred(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """What is drawn, set in the middle of its ground so that its longer side takes `share` of the frame (where nothing
    is found, the picture as it is), like `pictures`, (n, 3, h, w)."""
    side = pictures.shape[-1]
    grounds = border(pictures)[..., None, None].expand_as(pictures).clone()
    for picture, target, found in zip(pictures, grounds, find(pictures), strict=True):
        if found is None:
            target.copy_(picture)
            continue
        left, top, right, bottom = found.box
        scale = share * side / max(right - left, bottom - top)
        height, width = (max(1, round(scale * extent)) for extent in (bottom - top, right - left))
        above, before = (side - height) // 2, (side - width) // 2
        cut = F.interpolate(picture[None, :, top:bottom, left:right], (height, width), mode="bicubic", antialias=True)
        target[:, above : above + height, before : before + width] = cut[0]
    return grounds


def _direction(picture: torch.Tensor, drawing: torch.Tensor) -> str | None:
    mirrored = drawing.flip(-1)
    lopsided = rms(drawing, mirrored)
    lead = rms(picture, mirrored) - rms(picture, drawing)
    if lopsided < LOPSIDED or abs(lead) < SURE * lopsided:
        return None
    return "as drawn" if lead > 0 else "mirrored"


def rms(one: torch.Tensor, other: torch.Tensor) -> float:
    """Root mean square difference."""
    return float((one - other).square().mean().sqrt())


def spread(pictures: torch.Tensor) -> np.ndarray:
    """How far pictures of one prompt differ: mean RMS difference over all pairs of its seeds, float64 (prompts,).

    Args:
        pictures: (prompts, seeds, 3, h, w).
    """
    seeds = pictures.shape[1]
    pairs = [(i, j) for i in range(seeds) for j in range(i)]
    return np.array([np.mean([rms(group[i], group[j]) for i, j in pairs]) for group in pictures.float().cpu()])
