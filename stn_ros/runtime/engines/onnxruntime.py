"""The localization network on the CPU, by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.engines.base import Motion


def session(graph: Path, threads: int = 1) -> InferenceSession:
    """A session on the CPU; with 0 threads, ONNX Runtime chooses how many."""
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait must not burn the cores that cameras and other nodes need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class OnnxRuntimeEngine:
    """Runs a `NetworkBundle` on the CPU, at any patch size.

    Args:
        bundle: verified network. threads: of one inference; 0 lets ONNX Runtime choose.
    """

    name = "onnxruntime"

    def __init__(self, bundle: NetworkBundle, threads: int = 1) -> None:
        self._features = session(bundle.features, threads)
        self._match = session(bundle.match, threads)
        self._match_int8 = session(bundle.match_int8, threads)

    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Engine`."""
        (features,) = self._features.run(None, {"pictures": pictures})
        return np.asarray(features, np.float32)

    def match(
        self, reference: NDArray[np.float32], patches: NDArray[np.uint8], exact: bool = True
    ) -> Motion:
        """See `Engine`; without `exact` the convolutions work in 8 bits."""
        session = self._match if exact else self._match_int8
        return Motion(*session.run(None, {"reference": reference, "patches": patches}))
