"""Spatial Transformers as ONNX graphs, each checked against the layer it came from.

Whole, pictures -> output, or split in two: pictures -> parameters, which runs where a network runs
best, and pictures and parameters -> output, which need not be the same pictures: parameters found
on a small picture hold for the large one.

The graphs keep to what ONNX Runtime and TensorRT both read: opset 18 (from 20 on GridSample's modes
have other names, and TensorRT falls back to nearest in silence), GridSample of pictures only, grids
from products and sums in 32 bits even where the network has 16, no AffineGrid, nothing whose shape
depends on data. Only the batch is free; the sizes are those exported.
"""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions
from torch import Tensor, nn

from stn_ros.transformer.module import CompositionalTransformer, SpatialTransformer, transformers
from stn_ros.transformer.sampler import sample_antialiased, sample_linearized, sample_plain

OPSET = 18
TOLERANCE = 1e-3
"""Largest difference allowed between graph and layer, as a share of the layer's largest value."""

Transformer = SpatialTransformer | CompositionalTransformer


def export_whole(
    layer: Transformer, pictures: Tensor, path: Path, tolerance: float = TOLERANCE
) -> None:
    """Write one graph, `pictures` (N, C, *S) -> `output`: all that `layer` does, in eval mode.

    Args:
        layer: stays as it is. pictures: examples, of the type and size the graph is to take; the
            more lifelike, the better the check.
        path: of the file; written only if the graph passes. tolerance: see `TOLERANCE`; a network
            in half precision takes more, about 0.03.

    Raises:
        ValueError: the family, the sampler or something in the localizer cannot be exported.
        RuntimeError: the graph disagrees with the layer.

    Example:
        >>> import tempfile, torch
        >>> from stn_ros.transformer.families import Affine
        >>> from stn_ros.transformer.module import ConvolutionalLocalizer
        >>> layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_whole(layer, torch.rand(2, 1, 28, 28), Path(folder) / "layer.onnx")
        ...     [file.name for file in Path(folder).iterdir()]
        ['layer.onnx']
    """
    fixed, pictures = _fixed(layer, pictures)
    _write(fixed, {"pictures": pictures}, "output", path, tolerance)


def export_split(
    layer: Transformer,
    pictures: Tensor,
    localize: Path,
    transform: Path,
    full: Tensor | None = None,
    tolerance: float = TOLERANCE,
) -> None:
    """Write two graphs, `pictures` -> `parameters` and `pictures`, `parameters` -> `output`.

    Args:
        layer, pictures, tolerance: see `export_whole`. localize, transform: the two files.
        full: examples of what the second graph reads, where that is not what the first one reads:
            (N, C, *S), as many as `pictures`. Where the layer has no size of its own, the output
            has the size of these.

    Raises:
        ValueError, RuntimeError: see `export_whole`.

    Example:
        >>> import tempfile, torch
        >>> from stn_ros.transformer.families import Affine
        >>> from stn_ros.transformer.module import ConvolutionalLocalizer
        >>> layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
        >>> small, large = torch.rand(2, 1, 28, 28), torch.rand(2, 3, 112, 112)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / name for name in ("localize.onnx", "transform.onnx")]
        ...     export_split(layer, small, *paths, full=large)
        ...     [path.exists() for path in paths]
        [True, True]
    """
    fixed, pictures = _fixed(layer, pictures)
    parameters = _write(_Localize(fixed), {"pictures": pictures}, "parameters", localize, tolerance)
    fixed, full = _fixed(layer, pictures if full is None else full)
    # An untrained layer finds the identity only: check others, too.
    generator = torch.Generator().manual_seed(0)
    other = torch.randn(parameters.shape, generator=generator, dtype=parameters.dtype)
    parameters = parameters + fixed.family.bounded(0.1 * other)
    given = {"pictures": full, "parameters": parameters}
    _write(_Transform(fixed), given, "output", transform, tolerance)


def write_graph(
    module: nn.Module,
    inputs: Mapping[str, tuple[Tensor, Mapping[int, str]]],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Export a module in eval mode by tracing, and see that the file is sound.

    Args:
        module: as it is to be traced. inputs: by name, an example and its free axes, named.
        outputs: names; the first axis of each is free. path: of the file.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(tensor for tensor, _ in inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
            dynamic_axes={
                **{name: dict(axes) for name, (_, axes) in inputs.items()},
                **{name: {0: "n"} for name in outputs},
            },
        )
    onnx.checker.check_model(str(path))


def check_close(name: str, found: NDArray[np.floating], wanted: Tensor, tolerance: float) -> None:
    """Raise RuntimeError where an exported part is off by more than `tolerance`, or no number."""
    if found.shape != wanted.shape:
        raise RuntimeError(
            f"{name}: exported as {found.shape}, must be {tuple(wanted.shape)}: does the network "
            "use the size of the batch as a number?"
        )
    worst = float(np.abs(found.astype(np.float64) - wanted.double().numpy()).max())
    if not worst <= tolerance:
        raise RuntimeError(f"{name}: the export is off by {worst:.2g}, more than {tolerance:.2g}")


class _Localize(nn.Module):
    """Pictures -> parameters (N, transforms, count), after the last step if there are several."""

    def __init__(self, layer: Transformer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, pictures: Tensor) -> Tensor:
        if isinstance(self.layer, SpatialTransformer):
            return self.layer.localize(pictures)
        self.layer(pictures)
        assert self.layer.last is not None
        return self.layer.last.parameters[:, -1:]


class _Transform(nn.Module):
    """Pictures and parameters (N, transforms, count) -> output."""

    def __init__(self, layer: Transformer) -> None:
        super().__init__()
        if isinstance(layer, CompositionalTransformer):  # its result is one transform
            layer = SpatialTransformer(
                nn.Identity(), 1, layer.family, layer.size, sampler=layer.sampler
            )
        self.layer = layer

    def forward(self, pictures: Tensor, parameters: Tensor) -> Tensor:
        return self.layer.transform(pictures, parameters)[0]


def _fixed(layer: Transformer, pictures: Tensor) -> tuple[Transformer, Tensor]:
    """A copy of what can be exported, on the CPU and for one size, and the pictures there."""
    sampler, options = (
        (layer.sampler.func, layer.sampler.keywords)
        if isinstance(layer.sampler, partial)
        else (layer.sampler, {})
    )
    family = type(layer.family).__name__
    if layer.family.dims == 3:
        raise ValueError(
            f"{family} is for volumes: reading those takes GridSample of opset 20 and TensorRT "
            "11.2.1; run this layer in PyTorch, or export its localizer alone"
        )
    if sampler is sample_plain:
        raise ValueError("sample_plain is for tests: export with `sample`, which does the same")
    if sampler is sample_linearized and layer.training:
        raise ValueError(
            "sample_linearized differs from `sample` in training only: call eval() on the layer "
            "before its export"
        )
    if sampler is sample_antialiased:
        levels = options.get("levels", 5)
        if any(side % 2**levels for side in pictures.shape[2:]):
            raise ValueError(
                f"sample_antialiased halves pictures {levels} times, and ONNX halves even sides "
                f"only: {tuple(pictures.shape[2:])} must be multiples of {2**levels}; pad the "
                "pictures, or take fewer levels: functools.partial(sample_antialiased, levels=...)"
            )
    # What the last passes did hangs on their gradients and cannot be copied: None in its place.
    forgotten = {id(part.last): None for _, part in transformers(layer)}
    fixed = copy.deepcopy(layer, forgotten).cpu().eval()
    fixed.size = layer.size or tuple(pictures.shape[2:])
    return fixed, pictures.detach().cpu()


def _write(
    module: nn.Module, inputs: Mapping[str, Tensor], name: str, path: Path, tolerance: float
) -> Tensor:
    """Export, compare at another size of batch, and only then put the file in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = {key: (tensor, {0: "n"}) for key, tensor in inputs.items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        fresh = Path(scratch) / path.name
        try:
            write_graph(module, free, [name], fresh)
        except torch.onnx.errors.OnnxExporterError as error:
            raise ValueError(f"{path}: this network cannot be exported: {error}") from error
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = InferenceSession(str(fresh), options, providers=["CPUExecutionProvider"])
        more = {key: torch.cat([tensor, tensor[:1].flip(-1)]) for key, tensor in inputs.items()}
        with torch.no_grad():
            wanted: Tensor = module(*more.values())
        found = session.run(None, {key: tensor.numpy() for key, tensor in more.items()})[0]
        scale = float(wanted.abs().max())
        check_close(f"{path.name}, {name}", found, wanted, tolerance * max(scale, 1e-6))
        fresh.replace(path)
    return wanted[:-1]
