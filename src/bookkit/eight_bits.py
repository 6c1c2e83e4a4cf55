"""Numbers as eight bits: every row of a matrix as whole numbers from -127 to 127, and one scale for the row.

A file of weights becomes a quarter as large this way, and a stored vector too. Division, rounding and the search for a
maximum are the same on every processor, so the same file gives the same bytes everywhere.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SCALE = ".scale"
"""What the name of a packed matrix's scales ends in."""


def rows(matrix: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """A matrix of float32 as int8, and the float32 scale of each row; their product is near the matrix.

    >>> import numpy as np
    >>> whole, scale = rows(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32))
    >>> whole.tolist(), (whole * scale[:, None])[0].round(2).tolist()
    ([[127, -64], [0, 0]], [1.0, -0.5])
    """
    import numpy as np

    largest = np.abs(matrix).max(axis=1)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1))
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale


def pack(source: Path, wanted: Callable[[str], bool] = lambda name: True) -> bytes:
    """A safetensors file with each matrix as int8 and its scales beside it; whatever has one dimension stays float32.

    Args:
        source: a safetensors file of float32.
        wanted: whether a tensor of this name is kept.

    Returns:
        The content of a safetensors file. Its layout depends on names and shapes alone, because graphs for the browser
        point into it: float32 first, then int8, each by name.
    """
    from safetensors.numpy import load_file

    exact, whole = {}, {}
    for name, tensor in sorted(load_file(source).items()):
        if not wanted(name):
            continue
        if tensor.ndim == 2:
            whole[name], exact[name + SCALE] = rows(tensor)
        else:
            exact[name] = tensor
    header, content = {}, []
    for kind, tensors in (("F32", exact), ("I8", whole)):
        for name, tensor in sorted(tensors.items()):
            begin = sum(map(len, content))
            content.append(tensor.tobytes())
            header[name] = {
                "dtype": kind,
                "shape": list(tensor.shape),
                "data_offsets": [begin, begin + tensor.nbytes],
            }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(content)
