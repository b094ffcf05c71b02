"""Changes of a sequence's pace."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from stn_ros.transformer.families.base import Family


class SequenceMonotone(Family):
    """Logarithms of the relative pace in each of `pieces` equal parts of the output.

    Piecewise linear, strictly increasing, and both ends stay (compare the diffeomorphic temporal
    transformer of Lohit et al., CVPR 2019, and Weber et al., NeurIPS 2019). The parts' lengths are
    the softmax of the parameters. Not a group within the family: composing shifts the knots.

    Args:
        pieces: at least 2. limit: see `Family`.

    Raises:
        ValueError: `pieces` is less than 2.

    Example:
        >>> import math, torch
        >>> slow_then_fast = torch.tensor([[0.0, math.log(3.0)]])
        >>> ends_and_middle = torch.tensor([[-1.0], [0.0], [1.0]])
        >>> found = SequenceMonotone(pieces=2).map(slow_then_fast, ends_and_middle)
        >>> found.flatten().round(decimals=4).tolist()
        [-1.0, -0.5, 1.0]
    """

    dims: ClassVar[int] = 1

    def __init__(self, pieces: int = 8, limit: float = 2.0) -> None:
        super().__init__(limit)
        if pieces < 2:
            raise ValueError(f"pieces is {pieces}: a change of pace takes at least 2")
        self.count = pieces

    def _mapped(self, parameters: Tensor, points: Tensor) -> Tensor:
        lengths = 2.0 * parameters.softmax(dim=1)
        place = (points[:, 0] + 1.0) * (self.count / 2.0)
        index = torch.arange(self.count, dtype=place.dtype, device=place.device)
        # How far each point has come through each part, 0..1; beyond the ends it goes on.
        passed = (place[:, None] - index).clamp(0.0, 1.0)
        before = (place[:, None] - index).clamp_max(0.0) * (index == 0)
        after = (place[:, None] - index - 1.0).clamp_min(0.0) * (index == self.count - 1)
        return (lengths @ (passed + before + after).T - 1.0)[..., None]
