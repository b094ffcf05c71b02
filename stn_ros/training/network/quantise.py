"""The matching graph with its convolutions in 8 bits, for the steps where speed counts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from stn_ros.training.network.samples import STAGES, SampleMaker

SEED = 77
SAMPLES = 32
"""Samples of each stage that the ranges of the activations are read off."""
KEPT = ("features_net.0/", "features_net.9/", "offset_logits/", "residual/")
"""Parts of the names of convolutions kept in full precision: the first, and all last ones."""


class _Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, features: Path) -> None:
        self._session = InferenceSession(str(features), providers=["CPUExecutionProvider"])
        self._feeds = self._make()

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next input of the graph."""
        return next(self._feeds, None)

    def _make(self) -> Iterator[dict[str, NDArray[Any]]]:
        maker = SampleMaker(SEED, faces=24)
        for stage in STAGES:
            batch = maker.batch(stage, SAMPLES)
            for reference, patch in zip(batch.reference, batch.patch, strict=True):
                known = self._session.run(None, {"pictures": reference[None]})[0]
                yield {"reference": known, "patches": patch[None]}


def quantise(match: Path, features: Path, output: Path) -> None:
    """Write the 8-bit version of `match`, calibrated on training samples.

    Weights per channel in 7 bits, so that processors without VNNI do not saturate either;
    activations in 8.

    Args:
        match: graph to convert. features: graph that makes its reference features.
        output: where to.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(match), str(prepared), skip_symbolic_shape=True)
        convolutions = [n.name for n in onnx.load(prepared).graph.node if n.op_type == "Conv"]
        quantize_static(
            str(prepared),
            str(output),
            _Samples(features),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            op_types_to_quantize=["Conv", "Relu", "Add"],
            nodes_to_exclude=[n for n in convolutions if any(part in n for part in KEPT)],
            calibrate_method=CalibrationMethod.MinMax,
        )
