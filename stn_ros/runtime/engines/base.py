"""What an engine is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Motion(NamedTuple):
    """What the network says of N patches.

    Attributes:
        flow: (N, 2, h, w), of each cell of the reference where it lies in the patch, less its own
            place, cells. log_scale: (N, h, w), log of the expected error of that, cells.
        present: (N,), whether the face is there at all, logit.
        aligned: (N,), whether the flow can be trusted, logit.
    """

    flow: NDArray[np.float32]
    log_scale: NDArray[np.float32]
    present: NDArray[np.float32]
    aligned: NDArray[np.float32]


class Engine(Protocol):
    """Whatever runs the network."""

    name: str

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 4) BGR and validity -> (N, C, S/4, S/4)."""

    def match(
        self, reference: NDArray[np.float32], patches: NDArray[np.uint8], exact: bool = True
    ) -> Motion:
        """Compare N reference features (N, C, S/4, S/4) with N patches (N, S, S, 4).

        `exact` asks for full precision; without it, the engine may be faster and a little off.
        """
