# %% [markdown]
# # A Spatial Transformer, from the first layer to the exported graph
#
# Handwritten digits are turned, grown and shifted at random. A small network has to read them; a
# transformer in front of it learns from the reading alone how to put them upright. Run this file as
# a whole (`python docs/tutorial.py`, about 15 seconds, pictures in out/tutorial), or cell by cell
# in an editor that knows `# %%`. Formulas and conventions: theory.md.

# %%
"""Trains, looks at, watches over and exports a Spatial Transformer."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from onnxruntime import InferenceSession
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from stn_ros.transformer.export import export_split, export_whole
from stn_ros.transformer.families import Affine, Similarity
from stn_ros.transformer.module import (
    ConvolutionalLocalizer,
    SpatialTransformer,
    in_frame_penalty,
    parameter_groups,
)
from stn_ros.transformer.monitor import CollapseMonitor
from stn_ros.transformer.sampler import sample

FOLDER = Path("out/tutorial")
FOLDER.mkdir(parents=True, exist_ok=True)
SIDE = 28
torch.manual_seed(0)
started = time.perf_counter()

# %% [markdown]
# ## 1. Grid and sampler
#
# scikit-learn holds 1,797 digits of 8 x 8 pixels. A family turns parameters into a grid, a sampler
# reads pictures at the grid. Parameters name maps from output to input: what looks half a radian
# further shows its picture turned back by half a radian.

# %%
digits = load_digits()
small = torch.from_numpy(digits.images).float()[:, None] / 16
labels = torch.from_numpy(digits.target)
upright = functional.pad(functional.interpolate(small, (20, 20), mode="bilinear"), [4] * 4)
order = torch.randperm(len(labels))
train, test = order[:1437], order[1437:]

family = Similarity(limit=2.0)  # angle, log of the scale, shift x, y


def distorted(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Turned by up to 60 degrees, resized by up to a fifth, shifted by up to two pixels."""
    reach = torch.tensor([math.pi / 3, 0.2, 0.15, 0.15])
    known = reach * (2 * torch.rand(len(pictures), 4) - 1)
    return sample(pictures, family.grid(known, (SIDE, SIDE))), known


turned, known = distorted(upright[test])
returned = sample(turned, family.grid(family.inverse(known), (SIDE, SIDE)))
there_and_back = float((returned - upright[test]).abs().mean())
print(f"turned there and back, pixels differ by {there_and_back:.3f} on average (1 is white)")

# %% [markdown]
# ## 2. A layer
#
# The transformer takes feature maps and gives feature maps, so it is put in front of a network like
# any other layer. Untrained, it is the identity. Everything within it may learn more slowly than
# the rest, and what leaves the picture can be made to cost something.


# %%
def classifier() -> nn.Sequential:
    """(N, 1, 28, 28) -> (N, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 16, 10),
    )


transformer = SpatialTransformer(ConvolutionalLocalizer(1, (SIDE, SIDE)), 20, family)
network = nn.Sequential(transformer, classifier())
with torch.no_grad():
    untouched = float((transformer(turned) - turned).abs().max())
print(f"untrained, it changes pixels by {untouched:.1e}")


def learn(network: nn.Module, epochs: int, rate: float = 4e-3) -> list[str]:
    """Train to read digits distorted anew in each epoch; returns what the monitor said."""
    monitor, said = CollapseMonitor(network), []
    groups = parameter_groups(network, rate, localizer_share=0.5)
    optimizer = torch.optim.Adam(groups)
    for epoch in range(epochs):
        for batch in train[torch.randperm(len(train))].split(64):
            pictures, _ = distorted(upright[batch])
            loss = functional.cross_entropy(network(pictures), labels[batch])
            loss = loss + 0.1 * in_frame_penalty(network)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        said += monitor.check()
        print(f"epoch {epoch + 1}: loss {loss.item():.2f}")
    return said


said = learn(network, epochs=8)
network.eval()
with torch.no_grad():
    accuracy = float((network(turned).argmax(1) == labels[test]).float().mean())
print(f"reads {accuracy:.1%} of {len(test)} unseen digits; the monitor said: {said or 'nothing'}")

# %% [markdown]
# ## 3. Alignment
#
# Nobody told the transformer what upright is: reading alone taught it. Since the distortion is
# known, what is left of it after the transformer is the composition of the two. Each class may
# settle at an angle of its own, so what counts is the spread within a class.

# %%
with torch.no_grad():
    aligned = transformer(turned)
found = transformer.last.parameters[:, 0]
left = family.compose(known, found)


def spread(parameters: Tensor) -> float:
    """Standard deviation of the angle within a class, degrees."""
    each = [parameters[labels[test] == digit, 0].std() for digit in range(10)]
    return math.degrees(float(torch.stack(each).mean()))


spread_before, spread_after = spread(known), spread(left)
print(f"angles spread by {spread_before:.0f} degrees before, {spread_after:.0f} after")

figure = Figure(figsize=(10, 3.6), layout="constrained")
for row, (title, pictures) in enumerate((("distorted", turned), ("aligned", aligned))):
    for column in range(10):
        axes = figure.add_subplot(3, 10, row * 10 + column + 1, xticks=[], yticks=[])
        axes.imshow(pictures[column, 0].numpy(), cmap="gray")
        axes.set_ylabel(title if column == 0 else "")
for column in range(10):
    mean = aligned[labels[test] == column, 0].mean(0)
    axes = figure.add_subplot(3, 10, 21 + column, xticks=[], yticks=[])
    axes.imshow(mean.numpy(), cmap="gray")
    axes.set_ylabel("mean" if column == 0 else "")
figure.savefig(FOLDER / "aligned.png", dpi=80)

figure = Figure(figsize=(4, 4), layout="constrained")
axes = figure.add_subplot(xlabel="turned by, degrees", ylabel="turned back by, degrees")
by, back = known[:, 0].rad2deg().numpy(), -found[:, 0].rad2deg().numpy()
axes.scatter(by, back, c=labels[test].numpy(), s=8, cmap="tab10")
axes.axline((0, 0), slope=1, color="gray", linewidth=0.8)
figure.savefig(FOLDER / "angles.png", dpi=80)

# %% [markdown]
# ## 4. When it goes wrong
#
# The same network at fifty times the rate, with a family that may do more. The monitor says what
# happened, and what helps.

# %%
torch.manual_seed(1)
wild = SpatialTransformer(ConvolutionalLocalizer(1, (SIDE, SIDE)), 20, Affine(limit=4.0))
troubles = learn(nn.Sequential(wild, classifier()), epochs=2, rate=0.2)
for trouble in troubles:
    print(trouble)

# %% [markdown]
# ## 5. Export
#
# As one graph, or as two: the first finds the parameters on a small picture, the second reads a
# large one with them, since normalised parameters hold at every size. Both are compared with the
# layer before the files are written.

# %%
export_whole(transformer, turned[:8], FOLDER / "whole.onnx")
large = functional.interpolate(turned, (4 * SIDE, 4 * SIDE), mode="bilinear")
parts = FOLDER / "localize.onnx", FOLDER / "transform.onnx"
export_split(transformer, turned[:8], *parts, full=large[:8])


def run(path: Path, **inputs: Tensor) -> np.ndarray:
    """The first output of a graph."""
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]


whole = run(FOLDER / "whole.onnx", pictures=turned)
off = float(np.abs(whole - aligned.numpy()).max())
parameters = torch.from_numpy(run(parts[0], pictures=turned))
sharp = run(parts[1], pictures=large, parameters=parameters)
shrunk = functional.avg_pool2d(torch.from_numpy(sharp), 4)
off_large = float((shrunk - aligned).abs().mean())
print(f"the graph is off by {off:.1e}; the large pictures' alignment, shrunk, by {off_large:.3f}")
print(f"{time.perf_counter() - started:.0f} s; pictures and graphs in {FOLDER}")
