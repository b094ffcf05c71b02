"""The finder's network at work, by ONNX Runtime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stn_ros.runtime.engines.onnxruntime import session
from stn_ros.runtime.finder.bundle import FinderBundle

Picture = NDArray[np.uint8]
Values = NDArray[np.float32]


class FinderSession:
    """Runs a `FinderBundle` on the CPU.

    Args:
        bundle: verified network. threads: of one inference; 0 lets ONNX Runtime choose.
    """

    def __init__(self, bundle: FinderBundle, threads: int = 1) -> None:
        self.bundle = bundle
        self._cells = session(bundle.cells, threads)
        self._describe = session(bundle.describe, threads)

    def cells(self, pictures: Picture) -> tuple[Values, Values]:
        """Features (N, h, w, C) and centred (N, h, w) of (N, H, W, 3) BGR."""
        features, centred = self._cells.run(None, {"pictures": pictures})
        return features, centred

    def describe(self, around: Values) -> tuple[Values, Values]:
        """Embedding (K, E) and outline (K, 5) of `neighbourhoods`."""
        embedding, outline = self._describe.run(None, {"around": around})
        return embedding, outline


def neighbourhoods(
    features: Values, row: NDArray[np.intp], column: NDArray[np.intp], side: int
) -> Values:
    """(K, side, side, C) of features (h, w, C) around cells (K,), zero outside."""
    reach = side // 2
    padded = np.pad(features, ((reach, reach), (reach, reach), (0, 0)))
    steps = np.arange(side)
    rows, columns = row[:, None] + steps, column[:, None] + steps
    return padded[rows[:, :, None], columns[:, None, :]]
