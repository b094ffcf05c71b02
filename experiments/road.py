#!/usr/bin/env python3
"""The road from above, though the car pitches: inverse perspective by a Spatial Transformer.

A camera 1.5 m above the road sees lanes, cars and hills; the car's body pitches, rolls and yaws by
up to 3 degrees. What is wanted is the view from above, 10 m wide, from 4 to 24 m ahead, in metres,
for whatever reads lanes from it. Roads are drawn, so the true view is known.

  calibrated   one homography for all pictures, that of the car at rest: the usual way
  vanishing    pitch and yaw of each picture from the vanishing point of its line segments (OpenCV)
  task         a Spatial Transformer, homographies, that begins as `calibrated`, before a small
               network that marks lane markings; trained on the markings alone
  photometric  the same transformer, trained on how the road looks from above

Error: by how many metres a point on the road is misplaced, mean over the view, 10 m at most.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import command
import cv2
import numpy as np
import torch
from fitting import fit
from runs import Runs
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from stn_ros.transformer.families import Projective
from stn_ros.transformer.grid import apply_homography, target_grid
from stn_ros.transformer.module import SpatialTransformer

EPILOG = """\
examples:
  python experiments/road.py --seeds 1 --epochs 4
      the shortest look; the networks have hardly learnt then
  python experiments/road.py
      the table; interrupt it as you like, the same command goes on where it stopped

The folder of --out then holds runs.json (one entry a run), table.md and errors.png.
"""

HEIGHT, WIDTH, FOCAL = 80, 128, 120.0
"""Of the pictures; focal length, all in pixels."""
CAMERA, PITCH, SWAY = 1.5, 8.0, 3.0
"""Height above the road, m; pitch at rest, and how far each angle is from rest, degrees."""
VIEW = (48, 32)
"""Rows and columns of the view from above."""
HALF, NEAR, FAR = 5.0, 4.0, 24.0
"""The view reaches to both sides, from, and to, metres."""
CELL, MAP = 0.05, (1200, 600)
"""Side of a map's pixel, m; its rows (forwards) and columns, the camera's place in the middle."""
WORST = 10.0
"""No point is counted as misplaced by more, m."""
TOLERANCE = 6.0
"""By how much a line segment may miss the vanishing point that it belongs to, degrees."""
METHODS = ("calibrated", "vanishing", "task", "photometric")


@dataclass(frozen=True)
class Settings:
    """How networks are trained, and what everything is judged on.

    Attributes:
        task_share, photometric_share: of the learning rate, for the transformer. At 0.3 the task's
            loss throws it out of the picture.
    """

    epochs: int = 12
    batch: int = 32
    learning_rate: float = 3e-3
    task_share: float = 0.1
    photometric_share: float = 0.3
    roads: int = 150
    pictures: int = 8  # of each road
    test_roads: int = 50
    test_pictures: int = 4


class Drives(NamedTuple):
    """Pictures from the car, and the truth.

    Attributes:
        pictures: (N, 1, HEIGHT, WIDTH) in [0, 1]. theta: (N, 3, 3) view -> picture, normalised.
        views, markings: (N, 1, *VIEW) how it looks from above; how much of a cell is marking.
    """

    pictures: Tensor
    theta: Tensor
    views: Tensor
    markings: Tensor


def rotations(pitch: np.ndarray, yaw: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3), road -> camera, of the camera's angles (N,) in degrees.

    Both have x to the right, y down, z ahead. Pitch is positive downwards, yaw to the right, roll
    clockwise as the driver sees it.
    """
    p, y, r = np.deg2rad(np.stack([pitch, yaw, roll]))
    one, zero = np.ones_like(p), np.zeros_like(p)
    pitching = [[one, zero, zero], [zero, np.cos(p), -np.sin(p)], [zero, np.sin(p), np.cos(p)]]
    yawing = [[np.cos(y), zero, -np.sin(y)], [zero, one, zero], [np.sin(y), zero, np.cos(y)]]
    rolling = [[np.cos(r), np.sin(r), zero], [-np.sin(r), np.cos(r), zero], [zero, zero, one]]
    first, second, third = (np.moveaxis(np.array(m), 2, 0) for m in (rolling, pitching, yawing))
    return first @ second @ third


def view_to_picture(rotation: np.ndarray) -> np.ndarray:
    """Homographies (N, 3, 3), normalised view -> normalised picture; see `rotations`."""
    lens = np.diag([2 * FOCAL / WIDTH, 2 * FOCAL / HEIGHT, 1])
    road = np.array([[HALF, 0, 0], [0, 0, CAMERA], [0, (NEAR - FAR) / 2, (NEAR + FAR) / 2]])
    theta = lens @ rotation @ road  # `road`: view -> x, y, z in metres
    return theta / theta[:, 2:, 2:]


def road_map(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A road from above, its look and its markings, both `MAP` in [0, 1], row 0 far ahead."""
    rows, columns = MAP

    def smooth(cells: int, low: float, high: float) -> np.ndarray:
        noise = random.uniform(low, high, (cells * rows // columns, cells)).astype(np.float32)
        return cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC)

    ahead = (rows - np.arange(rows)) * CELL
    bend, lanes = random.uniform(-1 / 600, 1 / 600), int(random.integers(2, 4))
    middle = columns / 2 + (bend * ahead**2 / 2 + random.uniform(-2, 2)) / CELL
    lane = random.uniform(3.2, 3.8) / CELL
    across = np.arange(columns)[None] - middle[:, None]
    on_road = np.abs(across) < lanes * lane / 2 + random.uniform(0.3, 1.0) / CELL
    look = np.where(on_road, random.uniform(0.25, 0.45), random.uniform(0.2, 0.6)).astype("f4")
    look += np.where(on_road, smooth(200, -0.06, 0.06), smooth(60, -0.2, 0.2))
    marked = np.zeros(MAP, bool)
    period, phase = random.uniform(6, 12), random.uniform(0, 12)
    dashed = ((ahead + phase) % period < 0.45 * period)[:, None]
    for line in range(lanes + 1):
        here = np.abs(across - (line - lanes / 2) * lane) < random.uniform(0.06, 0.1) / CELL
        marked |= here if line in (0, lanes) else here & dashed
    worn = smooth(100, 0.6, 1.1)
    look = np.where(marked, random.uniform(0.7, 0.95) * worn, look) * smooth(8, 0.6, 1.1)
    return look.clip(0, 1).astype(np.float32), marked.astype(np.float32)


def drives(roads: int, each: int, random: np.random.Generator) -> Drives:
    """Pictures of new roads, `each` of every road."""
    kept = []
    for _ in tqdm(range(roads), unit="road", leave=False):
        look, marked = road_map(random)
        pitch, yaw, roll = random.uniform(-SWAY, SWAY, (3, each))
        turned = rotations(PITCH + pitch, yaw, roll)
        for rotation, theta in zip(turned, view_to_picture(turned), strict=True):
            place = (random.uniform(-1, 1), random.uniform(0, 10))
            views = [from_above(layer, place) for layer in (look, marked)]
            kept.append((photo(look, rotation, place, random), theta, *views))
    pictures, theta, views, markings = (
        torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*kept, strict=True)
    )
    return Drives(pictures[:, None], theta, views[:, None], markings[:, None])


def from_above(layer: np.ndarray, place: tuple[float, float]) -> np.ndarray:
    """The true view, `VIEW`, of a map; each cell is the mean over it. place: see `photo`."""
    fine = 6
    down, across = ((np.arange(n * fine) + 0.5) / (n * fine) for n in VIEW)
    x, z = np.meshgrid(HALF * (2 * across - 1), FAR - (FAR - NEAR) * down)
    return cv2.resize(_read(layer, x, z, place), VIEW[::-1], interpolation=cv2.INTER_AREA)


def photo(
    look: np.ndarray, rotation: np.ndarray, place: tuple[float, float], random: np.random.Generator
) -> np.ndarray:
    """What the camera sees, (HEIGHT, WIDTH) in [0, 1]: road, hills, sky, cars, light, noise.

    Args:
        look: of the road, a map. rotation: road -> camera. place: of the camera on the map, metres
            to the right of its middle and forwards from its end.
    """
    fine = 2  # rays along each side of a pixel, then averaged
    rows, columns = HEIGHT * fine, WIDTH * fine
    u, v = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    rays = np.stack([u - columns / 2, v - rows / 2, np.full_like(u, FOCAL * fine)], axis=2)
    x, y, z = np.moveaxis(rays @ rotation, 2, 0) / (FOCAL * fine)
    down = np.maximum(y, 0.02)
    picture = _read(look, CAMERA * x / down, CAMERA * z / down, place)
    hills = random.uniform(0, 0.12, (1, 9)).astype(np.float32)
    crest = cv2.resize(hills, (columns, rows), interpolation=cv2.INTER_CUBIC)
    far = np.where(-y < crest, random.uniform(0.2, 0.6), random.uniform(0.6, 1.0) + 0.3 * y)
    picture = np.where(y > 0.02, picture, far).astype(np.float32)
    for _ in range(int(random.integers(0, 3))):
        _draw_car(picture, rotation, fine, random)
    picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    picture = picture * random.uniform(0.6, 1.3) + random.normal(0, 0.02, picture.shape)
    return picture.clip(0, 1)


def _draw_car(
    picture: np.ndarray, rotation: np.ndarray, fine: int, random: np.random.Generator
) -> None:
    """The back of a car, upright on the road, with its shadow and its window."""
    x, z, shade = random.uniform(-4, 4), random.uniform(8, 30), random.uniform(0, 1)
    for bottom, top, half, value in ((0, 0.3, 0.9, 0.05), (0.3, 1.4, 0.9, shade),
                                     (0.9, 1.3, 0.7, 0.1)):  # fmt: skip
        sides = [(x - half, bottom), (x + half, bottom), (x + half, top), (x - half, top)]
        points = np.array([[side, CAMERA - up, z] for side, up in sides]) @ rotation.T
        pixels = FOCAL * fine * points[:, :2] / points[:, 2:] + np.array([WIDTH, HEIGHT]) * fine / 2
        cv2.fillConvexPoly(picture, pixels.round().astype(np.int32), value)


def _read(
    layer: np.ndarray, x: np.ndarray, z: np.ndarray, place: tuple[float, float]
) -> np.ndarray:
    columns = (x + place[0]) / CELL + layer.shape[1] / 2 - 0.5
    rows = layer.shape[0] - (z + place[1]) / CELL - 0.5
    maps = (np.clip(m, -1e4, 1e4).astype(np.float32) for m in (columns, rows))
    return cv2.remap(layer, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def at_rest() -> Tensor:
    """The homography (1, 3, 3) of the car at rest, view -> picture, normalised."""
    zero = np.zeros(1)
    return torch.from_numpy(view_to_picture(rotations(zero + PITCH, zero, zero))).float()


def vanishing(picture: Tensor) -> Tensor:
    """Homography (3, 3), view -> picture, from where the line segments of a picture meet.

    Segments nearer to the horizontal than 12 degrees, short ones and those above where the horizon
    can be are left out. Every pair proposes a point within the car's sway; the one to which most
    length of segments points, within `TOLERANCE`, is refined by least squares over these. Roll can
    not be seen from it and counts as zero, and so does all where fewer than two segments are found.
    """
    grey = (255 * picture[0]).byte().numpy()
    found = cv2.createLineSegmentDetector().detect(grey)[0]
    ends = np.zeros((0, 2, 2)) if found is None else found.reshape(-1, 2, 2) + 0.5
    ends = ends - np.array([WIDTH, HEIGHT]) / 2
    along = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(along, axis=1)
    limit = FOCAL * np.tan(np.deg2rad(2 * SWAY))
    rest = np.array([0, -FOCAL * np.tan(np.deg2rad(PITCH))])
    steep = np.abs(along[:, 1]) > np.sin(np.deg2rad(12)) * length
    kept = steep & (length > 6) & (ends[..., 1].max(axis=1) > rest[1])
    middle, along, length = ends.mean(axis=1)[kept], along[kept], length[kept]
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
    offset = (normal * middle).sum(axis=1)
    best, most = rest, 0.0

    def towards(point: np.ndarray) -> np.ndarray:
        way = point - middle
        off = np.abs((normal * way).sum(axis=1)) / (np.linalg.norm(way, axis=1) + 1e-9)
        return off < np.sin(np.deg2rad(TOLERANCE))

    for i, j in itertools.combinations(range(len(middle)), 2):
        pair = normal[[i, j]]
        if abs(np.linalg.det(pair)) < 0.05:
            continue
        point = np.linalg.solve(pair, offset[[i, j]])
        supported = length[towards(point)].sum()
        if np.abs(point - rest).max() <= limit and supported > most:
            best, most = point, supported
    for _ in range(5 if most else 0):
        near = towards(best)
        weight = length[near]
        fitted = np.linalg.lstsq(normal[near] * weight[:, None], offset[near] * weight, rcond=None)
        best = fitted[0]
    best = rest + np.clip(best - rest, -limit, limit)
    # The road's direction in the camera is (x, y, 1) of `best`, by `rotations` with no roll.
    x, y = best / FOCAL
    pitch = np.arctan(-y)
    yaw = np.arctan(-x * np.cos(pitch))
    angles = (np.array([np.rad2deg(a)]) for a in (pitch, yaw, 0.0))
    return torch.from_numpy(view_to_picture(rotations(*angles))[0]).float()


class Reader(nn.Module):
    """A view from above, and the lane markings in it.

    Args:
        moves: whether a localizer corrects the homography of the car at rest.
    """

    def __init__(self, moves: bool) -> None:
        super().__init__()
        family, features = Projective(limit=0.5), 64
        localizer = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (HEIGHT // 8) * (WIDTH // 8), features),
            nn.ReLU(),
        )
        rest = family.parameters_of(at_rest())
        self.transformer = SpatialTransformer(localizer, features, family, VIEW, initial=rest)
        self.transformer.requires_grad_(moves)
        self.marker = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 1, 1),
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, HEIGHT, WIDTH) -> views and logits of markings, both (N, 1, *VIEW)."""
        view = self.transformer(pictures)
        return view, self.marker(_even(view))


def _even(pictures: Tensor) -> Tensor:
    """Mean zero and deviation one for each picture: what light does is taken away."""
    mean, std = pictures.mean((1, 2, 3), True), pictures.std((1, 2, 3), keepdim=True)
    return (pictures - mean) / (std + 1e-3)


def seen(grid: Tensor) -> Tensor:
    """(N, 1, *VIEW): 1 for the cells of the view that lie within the picture, else 0."""
    return (grid.abs() <= 1).all(dim=-1)[:, None].float()


def marked(markings: Tensor) -> Tensor:
    """Which cells count as marked: a line is narrower than a cell."""
    return markings > 0.15


def true_grid(theta: Tensor) -> Tensor:
    """(N, *VIEW, 2): where homographies view -> picture send the cells' centres."""
    points = target_grid(VIEW, theta).reshape(-1, 2)
    return apply_homography(theta, points).reshape(-1, *VIEW, 2)


def train(method: str, data: Drives, settings: Settings, seed: int) -> Reader:
    """A reader trained on the markings; photometric: its transformer on the true views instead."""
    torch.manual_seed(seed)
    model, generator = Reader(method != "calibrated"), torch.Generator().manual_seed(seed)
    steps = settings.epochs * -(-len(data.pictures) // settings.batch)

    def batches() -> Iterator[Drives]:
        for _ in range(settings.epochs):
            order = torch.randperm(len(data.pictures), generator=generator)
            for index in order.split(settings.batch):
                yield Drives(*(part[index] for part in data))

    def loss(drive: Drives) -> Tensor:
        view, logits = model(drive.pictures)
        weight = seen(true_grid(drive.theta))
        total = torch.zeros(())
        if method == "photometric":
            difference = _even(view) - _even(drive.views * weight)
            total = (difference.abs() * weight).mean()
            # The marker learns on what the transformer gives, and tells it nothing.
            logits = model.marker(_even(view.detach()))
        marks = functional.binary_cross_entropy_with_logits(
            logits, marked(drive.markings).float(), weight, pos_weight=torch.tensor(5.0)
        )
        return total + marks

    share = settings.photometric_share if method == "photometric" else settings.task_share
    fit(model, batches(), loss, steps, settings.learning_rate, share)
    return model.eval()


def misplaced(theta: Tensor, truth: Tensor) -> Tensor:
    """(N,) mean metres by which points of the view are misplaced, over what the camera sees."""
    grid = true_grid(theta)
    weight = seen(true_grid(truth))[:, 0]
    found = apply_homography(torch.linalg.inv(truth), grid.flatten(1, 2))
    off = found.reshape(grid.shape) - target_grid(VIEW, theta)
    metres = (off * torch.tensor([HALF, (FAR - NEAR) / 2])).norm(dim=-1).clamp_max(WORST)
    return (metres * weight).sum((1, 2)) / weight.sum((1, 2))


def run(settings: Settings, method: str, seed: int) -> dict[str, Any]:
    """Errors of one method on roads that are the same for every method of a seed."""
    random = np.random.default_rng(1000 + seed)
    test = drives(settings.test_roads, settings.test_pictures, random)
    if method == "vanishing":
        return _measured(torch.stack([vanishing(p) for p in test.pictures]), test)
    data = drives(settings.roads, settings.pictures, np.random.default_rng(seed))
    model = train(method, data, settings, seed)
    with torch.no_grad():
        _, logits = model(test.pictures)
        family = model.transformer.family
        theta = family.matrix(model.transformer.last.parameters[:, 0])
    weight = seen(true_grid(test.theta)) > 0
    precision = average_precision_score(marked(test.markings)[weight], logits[weight])
    return _measured(theta, test) | {"precision": 100 * float(precision)}


def _measured(theta: Tensor, test: Drives) -> dict[str, float]:
    errors = misplaced(theta, test.theta)
    return {"median": errors.median().item(), "p90": errors.quantile(0.9).item()}


def table(runs: list[dict[str, Any]], settings: Settings) -> str:
    """The page in Markdown."""
    rows = []
    for method in (m for m in METHODS if command.taken(runs, "seed", method=m)):
        cells = [
            command.spread(command.taken(runs, name, method=method), digits)
            for name, digits in (("median", 2), ("p90", 2), ("precision", 1))
        ]
        rows.append([method, *cells, str(len(command.taken(runs, "seed", method=method)))])
    header = ["method", "median, m", "90th percentile, m", "markings found, %", "seeds"]
    count = settings.test_roads * settings.test_pictures
    return f"""# Road: the view from above while the car pitches

By how much points of the road, up to {FAR:.0f} m ahead, are misplaced, over {count} test pictures a
seed; mean ± standard deviation over seeds. Markings found: average precision of the small network
that marks lane markings in the view, cell by cell, where they truly are. {settings}.

{command.markdown(header, rows)}

{command.effort(runs)}
"""


def plot(runs: list[dict[str, Any]], folder: Path) -> None:
    """Median errors, a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for place, method in enumerate(METHODS):
        if values := command.taken(runs, "median", method=method):
            axes.bar(place, statistics.mean(values), color="C0", alpha=0.6)
            axes.plot([place] * len(values), values, ".", color="black")
    axes.set_xticks(range(len(METHODS)), METHODS)
    axes.set_ylabel("points misplaced by, m (median)")
    figure.savefig(folder / "errors.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and picture."""
    parser = command.parser(__doc__ or "", EPILOG, "road")
    parser.add_argument("--epochs", type=int, default=Settings.epochs, help="default: %(default)s")
    parser.add_argument("--roads", type=int, default=Settings.roads, help="default: %(default)s")
    options = command.options(parser, arguments)
    settings = Settings(epochs=options.epochs, roads=options.roads)
    runs = Runs(options.out, {"settings": asdict(settings)})
    jobs = [{"method": m, "seed": s} for s in range(options.seeds) for m in METHODS]
    command.complete(runs, jobs, partial(run, settings))
    if finished := runs.runs():
        page = table(finished, settings)
        plot(finished, options.out)
        command.write(page, options.out)


if __name__ == "__main__":
    main()
