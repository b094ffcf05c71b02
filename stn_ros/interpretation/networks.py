"""Explains the Spatial Transformers of any network on data of one's own.

Example:
    >>> import pathlib, tempfile, torch
    >>> from stn_ros.interpretation.networks import explain
    >>> from stn_ros.transformer.families import Affine
    >>> from stn_ros.transformer.module import ConvolutionalLocalizer, SpatialTransformer
    >>> layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
    >>> model = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(784, 10))
    >>> batches = [torch.rand(8, 1, 28, 28)]  # or a data loader
    >>> page = pathlib.Path(tempfile.mkdtemp()) / "explained.html"
    >>> (wrong,) = explain(model, batches, page, progress=False)
    >>> wrong[:49]
    'The transformer is idle: theta is the same for ev'
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from stn_ros.geometry.homography import apply, invert, normalised_to_pixel
from stn_ros.interpretation import report, sensitivity, theta
from stn_ros.interpretation.study import Example, Frame, Picture, Size, Study
from stn_ros.transformer.families import Family, MatrixFamily
from stn_ros.transformer.grid import target_grid
from stn_ros.transformer.module import (
    Aligned,
    CompositionalTransformer,
    SpatialTransformer,
    transformers,
)
from stn_ros.transformer.monitor import CollapseMonitor

Batch = Tensor | Sequence[Tensor]
Known = Tensor | Mapping[str, Tensor]
Layer = SpatialTransformer | CompositionalTransformer

INPUTS, EXAMPLES = 200, 6
_LATTICE = 17
_LINES = 9
_SQUARE = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def explain(
    model: nn.Module,
    batches: Iterable[Batch],
    path: str | Path,
    known: Callable[[Batch], Known] | None = None,
    inputs: int = INPUTS,
    title: str = "What the Spatial Transformer did",
    facts: Sequence[tuple[str, str]] = (),
    bgr: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> list[str]:
    """Write a page on what the transformers of a network do to a data set, and why.

    The network runs in evaluation mode, without gradients but for the sensitivity maps; it is left
    in the mode it was in.

    Args:
        model: a network with transformers of pictures anywhere in it.
        batches: such as a data loader: tensors (N, C, H, W) that the network takes, or sequences
            whose first item that is.
        path: of the page, HTML.
        known: the right theta of a batch, if it is known: (N, 3, 3), normalised output ->
            normalised input coordinates; for several transformers by their names
            (`module.transformers`), those left out being unknown.
        inputs: how many are looked at, the first ones. They are kept in memory.
        title: of the page. facts: names and values to be printed on it, such as where the data is
            from. bgr: pictures of three channels are BGR, not RGB. seed: of the noise that the
            sensitivity is averaged over. progress: show a progress bar.

    Returns:
        What is wrong, a sentence each.

    Raises:
        ValueError: the network has no transformer of pictures, or none ran; there are no inputs; or
            `known` gives something else.
    """
    records = record(model, batches, known, inputs, progress)
    found = {
        name: study_layer(model, each, bgr=bgr, seed=seed, progress=progress)
        for name, each in records.items()
    }
    studies = [study for several in found.values() for study in several]
    count = len(next(iter(records.values())).entered)
    return report.write(
        Path(path),
        title,
        f"{len(studies)} transform(s) of {len(records)} transformer(s) on {count} inputs.",
        [*facts, ("inputs", str(count)), ("seed of the sensitivity's noise", str(seed))],
        studies,
    )


@dataclass
class Record:
    """What went in and out of one transformer; N inputs, T transforms each.

    Attributes:
        name: of the module. layer: itself. entered: (N, C, H, W). parameters: (N, T, count).
        known: (N, 3, 3) the right theta, normalised, or None. troubles: of the collapse monitor.
    """

    name: str
    layer: Layer
    entered: Tensor
    parameters: Tensor
    known: Tensor | None
    troubles: tuple[str, ...]


@dataclass
class _Gathered:
    entered: list[Tensor] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)
    grids: list[Tensor] = field(default_factory=list)
    known: list[Tensor] = field(default_factory=list)


def record(
    model: nn.Module,
    batches: Iterable[Batch],
    known: Callable[[Batch], Known] | None = None,
    inputs: int = INPUTS,
    progress: bool = True,
) -> dict[str, Record]:
    """Run a network on data and keep what its transformers did; see `explain`."""
    layers = dict(transformers(model))
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no SpatialTransformer or CompositionalTransformer in it"
        )
    for name, layer in layers.items():
        if layer.family.dims != 2:
            raise ValueError(
                f"transformer {name!r} has the family {type(layer.family).__name__} of "
                f"{layer.family.dims} dimensions: only transformers of pictures are explained"
            )
    gathered = {name: _Gathered() for name in layers}
    hooks = [
        layer.register_forward_hook(_keeper(layer, gathered[name]))
        for name, layer in layers.items()
    ]
    device = next(iter(model.parameters())).device
    seen = 0
    bar = tqdm(total=inputs, desc="inputs", unit="input", disable=not progress)
    try:
        with torch.no_grad(), _evaluating(model):
            for batch in batches:
                pictures = batch if isinstance(batch, Tensor) else batch[0]
                pictures = pictures[: inputs - seen]
                model(pictures.to(device))
                if known is not None:
                    _keep_known(gathered, known(batch), len(pictures))
                seen += len(pictures)
                bar.update(len(pictures))
                if seen >= inputs:
                    break
    finally:
        bar.close()
        for hook in hooks:
            hook.remove()
    if not seen:
        raise ValueError("there are no inputs: the batches are empty")
    troubles = _troubles(model, layers, gathered, device)
    records = {}
    for name, kept in gathered.items():
        if not kept.entered:
            raise ValueError(f"transformer {name!r} did not run: the network does not call it")
        entered = torch.cat(kept.entered)
        if len(entered) != seen:
            raise ValueError(
                f"transformer {name!r} saw {len(entered)} pictures for {seen} inputs: it must run "
                "once for each"
            )
        label = f"transformer {name or 'of the network'}: "
        records[name] = Record(
            name,
            layers[name],
            entered,
            torch.cat(kept.parameters),
            torch.cat(kept.known) if kept.known else None,
            tuple(_sentence(text) for text in troubles if text.startswith(label)),
        )
    return records


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each module then has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _troubles(
    model: nn.Module,
    layers: Mapping[str, Layer],
    gathered: Mapping[str, _Gathered],
    device: torch.device,
) -> list[str]:
    """What the collapse monitor says of all inputs at once."""
    before = {name: layer.last for name, layer in layers.items()}
    try:
        for name, kept in gathered.items():
            if kept.grids:
                done = torch.cat(kept.parameters).to(device), torch.cat(kept.grids).to(device)
                layers[name].last = Aligned(*done)
        return CollapseMonitor(model).check()
    finally:
        for name, layer in layers.items():
            layer.last = before[name]


def _keeper(
    layer: Layer, gathered: _Gathered
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def keep(_: nn.Module, entered: tuple[Tensor, ...], __: Tensor) -> None:
        assert layer.last is not None
        gathered.entered.append(entered[0].detach().cpu())
        gathered.parameters.append(layer.last.parameters.detach().float().cpu())
        gathered.grids.append(layer.last.grid.detach().float().cpu())

    return keep


def _keep_known(gathered: Mapping[str, _Gathered], answer: Known, count: int) -> None:
    if isinstance(answer, Tensor):
        if len(gathered) > 1:
            raise ValueError(
                f"known gave one tensor for {len(gathered)} transformers: give a mapping from "
                f"their names ({', '.join(map(repr, gathered))}) to tensors"
            )
        answer = {next(iter(gathered)): answer}
    for name, matrices in answer.items():
        if name not in gathered:
            raise ValueError(
                f"known names the transformer {name!r}; there are {', '.join(map(repr, gathered))}"
            )
        matrices = matrices[:count]
        if matrices.shape != (count, 3, 3):
            raise ValueError(
                f"known gave the shape {tuple(matrices.shape)} for {count} inputs: must be "
                f"({count}, 3, 3), normalised output -> normalised input"
            )
        gathered[name].known.append(matrices.detach().float().cpu())


def study_layer(
    model: nn.Module,
    kept: Record,
    symmetries: Sequence[NDArray[np.floating]] = (),
    bgr: bool = False,
    examples: int = EXAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> list[Study]:
    """What each transform of one transformer did; of a compositional one, all its steps together.

    Args:
        model: the network, whose mode is kept. kept: what went through the transformer.
        symmetries: output pixels -> output pixels, under which the object looks alike; the identity
            need not be among them. examples: how many inputs are shown. bgr, seed: see `explain`.
    """
    layer, family = kept.layer, kept.layer.family
    height, width = kept.entered.shape[2:]
    input_size, output_size = (width, height), _output_size(layer, kept.entered)
    to_input = normalised_to_pixel(input_size)
    from_output = invert(normalised_to_pixel(output_size))
    steps, bends = zip(
        *(_matrices(family, each) for each in kept.parameters.unbind(1)), strict=True
    )
    in_pixels = [to_input @ each @ from_output for each in steps]
    known = None
    if kept.known is not None:
        known = to_input @ kept.known.double().numpy() @ from_output
    compositional = isinstance(layer, CompositionalTransformer)
    studies = []
    # A compositional transformer is one transform in steps, others are several transforms.
    for index in [len(steps) - 1] if compositional else range(len(steps)):
        found, right = in_pixels[index], known
        if right is not None and len(symmetries):
            right = theta.nearest_symmetric(found, right, [np.eye(3), *symmetries], output_size)
        begun = torch.zeros(1, family.count)
        if isinstance(layer, SpatialTransformer):
            begun = layer.initial[index : index + 1].detach().float().cpu()
        start = (to_input @ _matrices(family, begun)[0] @ from_output)[0]
        done = in_pixels if compositional else [found]
        way = [np.broadcast_to(start, found.shape), *done]
        names = [f"step {i + 1}" for i in range(len(done))] if compositional else ["transformed"]
        errors = None
        if right is not None:
            errors = np.stack(
                [theta.corner_errors(each, right, output_size) for each in way], axis=1
            )
        with _evaluating(model):
            shown = tuple(
                _examples(kept, index, right, errors, names, bgr, examples, seed, progress)
            )
        title = f"Transformer {kept.name}" if kept.name else "Transformer"
        if len(steps) > 1 and not compositional:
            title += f", transform {index + 1} of {len(steps)}"
        bend = bends[index]
        studies.append(
            Study(
                name=title,
                input_size=input_size,
                output_size=output_size,
                found=found,
                known=right,
                stages=("before", *names),
                stage_errors=errors,
                start=start,
                bend=None if bend is None else np.hypot(*(bend * np.array(input_size) / 2).T),
                troubles=kept.troubles,
                examples=shown,
                sensitivity_of="what enters the transformer",
                draws=sensitivity.DRAWS,
            )
        )
    return studies


def _examples(
    kept: Record,
    transform: int,
    known: NDArray[np.float64] | None,
    errors: NDArray[np.float64] | None,
    names: Sequence[str],
    bgr: bool,
    count: int,
    seed: int,
    progress: bool,
) -> Iterator[Example]:
    layer = kept.layer
    device = next(iter(layer.parameters())).device
    height, width = kept.entered.shape[2:]
    to_input = torch.from_numpy(normalised_to_pixel((width, height))).float()
    size = _output_size(layer, kept.entered)

    def corners(pictures: Tensor) -> Tensor:
        layer(pictures)
        assert layer.last is not None
        found = layer.last.parameters[:, transform]
        mapped = layer.family.map(found, _SQUARE.to(device))
        scale, shift = to_input.diagonal()[:2], to_input[:2, 2]
        return mapped * scale.to(mapped) + shift.to(mapped)

    last = None if errors is None else errors[:, -1]
    for index, label in tqdm(
        report.chosen(last, len(kept.entered), count),
        desc="sensitivity",
        unit="input",
        disable=not progress,
    ):
        entered = kept.entered[index : index + 1].to(device)
        gradients = sensitivity.smooth_gradients(corners, entered, seed=seed)
        with torch.no_grad():
            outputs = layer(entered)
            assert layer.last is not None
            grid = layer.last.grid[0]
            at = corners(entered)
        found_maps = {
            name: each[0].cpu().numpy()
            for name, each in sensitivity.maps(gradients.cpu(), at.cpu()).items()
        }
        picture = displayed(entered[0], bgr)
        frames = []
        if isinstance(layer, CompositionalTransformer):
            identity = layer.family.grid(
                torch.zeros(1, layer.family.count, device=device), size[::-1]
            )
            saw = [identity, *grid[:, None]]
            for step, each in enumerate(saw):
                seen = displayed(layer.sampler(entered, each)[0], bgr)
                name = f"step {step + 1} saw" if step < len(names) else "result"
                error = None if errors is None else float(errors[index, step])
                frames.append(Frame(name, seen, error))
            output = frames[-1].picture
        else:
            channels = outputs.shape[1] // layer.initial.shape[0]
            part = outputs[0, transform * channels : (transform + 1) * channels]
            output = displayed(part, bgr)
        right = None if known is None else theta.corners(known[index : index + 1], size)[0]
        outline = at[0].cpu().numpy() if right is None else right
        lattice = _lattice(layer.family, kept.parameters[index : index + 1, transform], to_input)
        yield Example(
            picture=picture,
            output=output,
            grid=lattice,
            known=right,
            error=None if last is None else float(last[index]),
            label=label,
            strip=tuple(frames),
            seen=picture,
            maps=found_maps,
            inside=(
                sensitivity.share_inside(found_maps["corners"], outline),
                sensitivity.share_inside(np.ones((height, width)), outline),
            ),
        )


def displayed(picture: Tensor, bgr: bool = False) -> Picture:
    """A picture (C, H, W) as RGB (H, W, 3) for looking at.

    Three channels are colours, others are averaged to grey. Values in 0..1 stay; others are
    stretched from the least to the greatest.
    """
    values = picture.detach().float().cpu().numpy()
    values = values if len(values) == 3 else values.mean(axis=0, keepdims=True).repeat(3, axis=0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        values = (values - low) / max(high - low, 1e-12)
    values = values[::-1] if bgr and len(picture) == 3 else values
    return np.ascontiguousarray((values.transpose(1, 2, 0) * 255).round().astype(np.uint8))


def _output_size(layer: Layer, entered: Tensor) -> Size:
    height, width = layer.size or tuple(entered.shape[2:])
    return width, height


def _matrices(
    family: Family, parameters: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """(N, 3, 3) normalised output -> input, and (N, 2) how far a family that bends is off in x, y.

    A family that bends gives the affine maps nearest to it over the output, in least squares, and
    the root mean squares of what is left; of others there is nothing left: None.
    """
    double = parameters.double()
    if isinstance(family, MatrixFamily):
        return family.matrix(double).numpy(), None
    points = target_grid((_LATTICE, _LATTICE), double).reshape(-1, 2)
    mapped = family.map(double, points)
    design = torch.cat([points, torch.ones_like(points[:, :1])], dim=1)
    affine = (torch.linalg.pinv(design) @ mapped).transpose(1, 2)
    bend = (mapped - design @ affine.transpose(1, 2)).square().mean(dim=1).sqrt()
    bottom = torch.tensor([0.0, 0.0, 1.0], dtype=double.dtype).expand(len(double), 1, 3)
    return torch.cat([affine, bottom], dim=1).numpy(), bend.numpy()


def _lattice(family: Family, parameters: Tensor, to_input: Tensor) -> NDArray[np.float64]:
    """(_LINES, _LINES, 2) input pixels: where evenly spaced output points lie, edge to edge."""
    line = torch.linspace(-1, 1, _LINES)
    points = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    mapped = family.map(parameters, points)[0].numpy()
    return apply(to_input.numpy(), mapped).reshape(_LINES, _LINES, 2)


def _sentence(trouble: str) -> str:
    """A trouble of the monitor as a sentence of its own."""
    _, _, text = trouble.partition(": ")
    return text[:1].upper() + text[1:] + "."
