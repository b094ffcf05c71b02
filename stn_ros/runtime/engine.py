"""The localization network, run by ONNX Runtime."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from stn_ros.runtime.bundle import NetworkBundle


class Motion(NamedTuple):
    """What the network says of N patches; `transformer.network.Motion` explains the fields."""

    flow: NDArray[np.float32]
    log_scale: NDArray[np.float32]
    present: NDArray[np.float32]
    aligned: NDArray[np.float32]


class Engine(Protocol):
    """Whatever runs the network."""

    name: str

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 4) BGR and validity -> (N, C, S/4, S/4)."""

    def match(self, reference: NDArray[np.float32], patches: NDArray[np.uint8]) -> Motion:
        """Compare N reference features (N, C, S/4, S/4) with N patches (N, S, S, 4)."""


class OnnxEngine:
    """Runs a `NetworkBundle` on the CPU, at any patch size.

    Args:
        bundle: verified network. threads: of one inference; 0 lets ONNX Runtime choose.
    """

    name = "onnxruntime"

    def __init__(self, bundle: NetworkBundle, threads: int = 1) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3

        providers = ["CPUExecutionProvider"]
        self._features = InferenceSession(str(bundle.features), options, providers=providers)
        self._match = InferenceSession(str(bundle.match), options, providers=providers)

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        return self._features.run(None, {"pictures": pictures})[0]

    def match(self, reference: NDArray[np.float32], patches: NDArray[np.uint8]) -> Motion:
        """See `Engine`."""
        return Motion(*self._match.run(None, {"reference": reference, "patches": patches}))
