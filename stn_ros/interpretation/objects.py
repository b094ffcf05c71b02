"""Explains what the shipped network does to views of a taught object.

Theta is the robot's own answer (`runtime.canonicalizer`). Its stages are walked again in PyTorch
with the same weights (`localization.cascade`), since the robot's engine has no gradients: those of
a search, on the way of the winning rotation, then the refinement on pixels (`photometric`). The
robot samples without aliasing, fits robustly and works in 8 bits but for the last step, so the two
differ by a little; the page says by how much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid
from tqdm import tqdm

from stn_ros.geometry.box import Box
from stn_ros.geometry.homography import (
    apply,
    face_corners,
    invert,
    is_visible_face,
    normalised_to_pixel,
    to_corners,
)
from stn_ros.geometry.patch import (
    MARGIN,
    camera_corner_covariance,
    normalised_patch_to_canonical,
    patch_to_canonical,
    region_homography,
)
from stn_ros.interpretation import report, sensitivity, theta
from stn_ros.interpretation.study import Example, Frame, Picture, Study
from stn_ros.localization.cascade import Cascade
from stn_ros.localization.network import LocalizationNetwork
from stn_ros.localization.solver import motion_homography
from stn_ros.runtime.alignment import Region
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.runtime.photometric import PhotometricRefiner
from stn_ros.runtime.region_search import ROTATIONS, SEARCH_STAGES
from stn_ros.runtime.sampling import FrameSampler
from stn_ros.runtime.solver import fit_motion
from stn_ros.synthesis.scene import SHARP, RenderedFrame, render_frame
from stn_ros.synthesis.textures import Textures
from stn_ros.teaching.texture import symmetry_homographies
from stn_ros.training.network.export import load_weights
from stn_ros.training.network.samples import jittered_box
from stn_ros.transformer.grid import apply_homography

Array = NDArray[np.float64]

CONDITIONS = replace(SHARP, long_side=(70.0, 260.0), blur=(0.0, 1.5), occluded_share=0.3)
"""Of the views: any rotation, tilts up to 45 degrees, some blurred, a third with occluders."""
FRAME_SIZE = (640, 480)
VIEWS, EXAMPLES = 60, 6
DRAWS = 6
"""Noisy copies for the sensitivity of each stage."""
_LINES = 9


@dataclass(frozen=True)
class Walk:
    """One view's way through the stages.

    Attributes:
        homographies: canonical -> frame pixels, before the first stage and after each.
        patches: what each of the network's stages saw, (S, S, 4) BGR and validity.
    """

    homographies: tuple[Array, ...]
    patches: tuple[Tensor, ...]


class Stages:
    """The cascade of one object in PyTorch, for walking through.

    Args:
        model: the object; its own network is used if it has one.

    Attributes:
        names: of the stages, the network's and the last, on pixels.
    """

    def __init__(self, model: ObjectModel) -> None:
        folder = model.network or models_folder() / "canonicalizer"
        self.bundle = NetworkBundle.load(folder)
        self.network: LocalizationNetwork = load_weights(folder).eval()
        for weight in self.network.parameters():
            weight.requires_grad_(False)
        self.model = model
        named = [stage for stage, _ in SEARCH_STAGES]
        self.names = (
            *(f"{name} again" if name in named[:i] else name for i, name in enumerate(named)),
            "photometric",
        )
        self._patches = [self.bundle.patches[stage] for stage in named]
        self._refiner = PhotometricRefiner(model.reference)
        sampler = FrameSampler(model.reference)
        self._references = [
            torch.from_numpy(
                sampler.sample(patch_to_canonical(side, model.size), (side, side))
            ).float()
            for side in self._patches
        ]
        with torch.no_grad():
            self._features = [self.network.features(each[None]) for each in self._references]
        self._to_canonical = normalised_patch_to_canonical(model.size)

    def walk(self, frame: Picture, box: Box) -> Walk:
        """Align the object in a box (left, top, width, height) of a frame (BGR)."""
        to_frame = normalised_to_pixel((frame.shape[1], frame.shape[0]))
        starts = [
            region_homography(box, i * 360.0 / ROTATIONS, self.model.size) for i in range(ROTATIONS)
        ]
        now = torch.from_numpy(
            np.array([invert(to_frame) @ start @ self._to_canonical for start in starts])
        ).float()
        pictures = torch.from_numpy(frame)[None]
        ways: list[list[Tensor]] = [[each] for each in now]
        seen: list[list[Tensor]] = [[] for _ in now]
        motion = None
        for side, reference, (_, keep) in zip(
            self._patches, self._references, SEARCH_STAGES, strict=True
        ):
            count = len(now)
            with torch.no_grad():
                (step,) = Cascade(self.network, [side])(
                    [reference.expand(count, -1, -1, -1)],
                    pictures.expand(count, -1, -1, -1),
                    now,
                )
            motion = step.motion
            score = logsigmoid(motion.present) + logsigmoid(motion.aligned)
            possible = [self._visible(to_frame @ each.double().numpy()) for each in step.theta]
            score[~torch.tensor(possible)] = -torch.inf
            best = score.argsort(descending=True)[:keep]
            ways = [[*ways[i], step.theta[i]] for i in best.tolist()]
            seen = [[*seen[i], step.patch[i]] for i in best.tolist()]
            now = step.theta[best]
            last = best[0]
        assert motion is not None
        homographies = [
            _scaled(to_frame @ each.double().numpy() @ invert(self._to_canonical))
            for each in ways[0]
        ]
        fit = fit_motion(
            motion.flow[last : last + 1].numpy(), motion.log_scale[last : last + 1].numpy()
        )
        covariance = self.bundle.corner_scale * camera_corner_covariance(
            homographies[-2] @ self._to_canonical, fit.motion[0], fit.corner_covariance[0]
        )
        end = homographies[-1]
        if is_visible_face(end, self.model.size):
            end = self._refiner.refine(FrameSampler(frame), end, covariance).homography
        return Walk((*homographies, end), tuple(seen[0]))

    def _visible(self, patch_to_frame: Array) -> bool:
        homography = patch_to_frame @ invert(self._to_canonical)
        return is_visible_face(homography, self.model.size)

    def maps(self, walk: Walk, stage: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
        """How the corners that a stage answers hang on the patch it saw.

        Args:
            stage: index of one of the network's stages. seed: of the noise.

        Returns:
            (S, S) by the names of `sensitivity.MAPS`, frame pixels per grey level.
        """
        patch, reference = walk.patches[stage], self._features[stage]
        before = torch.from_numpy(walk.homographies[stage] @ self._to_canonical).float()[None]
        square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) / MARGIN
        valid = patch[None, ..., 3:]

        def corners(colours: Tensor) -> Tensor:
            seen = torch.cat(
                [colours.permute(0, 2, 3, 1), valid.expand(len(colours), -1, -1, -1)], dim=3
            )
            known = reference.expand(len(colours), -1, -1, -1)
            motion = self.network.match(known, self.network.features(seen))
            return apply_homography(
                before @ motion_homography(motion.flow, motion.log_scale), square
            )

        colours = patch[..., :3].permute(2, 0, 1)[None]
        gradients = sensitivity.smooth_gradients(corners, colours, DRAWS, seed=seed)
        with torch.no_grad():
            parts = sensitivity.maps(gradients, corners(colours))
        return {name: part[0].numpy() for name, part in parts.items()}


def explain_object(
    model: ObjectModel,
    path: str | Path,
    views: int = VIEWS,
    seed: int = 1,
    progress: bool = True,
) -> list[str]:
    """Write a page on what the network does to rendered views of an object, and why.

    Args:
        model: the object. path: of the page, HTML. views: rendered, at least 2. seed: of them.
        progress: show progress bars.

    Returns:
        What is wrong, a sentence each.

    Raises:
        ValueError: too few views.
    """
    if views < 2:
        raise ValueError(f"views is {views}: must be at least 2")
    study = study_object(model, views, seed, progress)
    network = "its own (tuned)" if model.network else "the shipped one"
    width, height = model.size
    facts = [
        ("object", f"{model.name}, reference of {width} x {height} pixels"),
        ("network", network),
        (
            "views",
            f"{views}, rendered with exact truth from the reference picture itself, on backgrounds "
            "that no training saw; photos of a real face are harder",
        ),
        ("seed", str(seed)),
        ("frames", f"{FRAME_SIZE[0]} x {FRAME_SIZE[1]}"),
    ]
    if model.symmetry:
        angles = ", ".join(f"{angle}" for angle in model.symmetry)
        facts.append(("looks alike", f"rotated by {angles} degrees; the nearest counts"))
    summary = (
        f"What the network that finds `{model.name}` does to {views} views of it: regions as a "
        "detector gives them in, aligned views out."
    )
    return report.write(Path(path), f"{model.name}, explained", summary, facts, [study])


def study_object(model: ObjectModel, views: int, seed: int = 1, progress: bool = True) -> Study:
    """Render views of an object, have the robot align them, and walk through its stages."""
    rng = np.random.default_rng(seed)
    textures = Textures("held_out")
    canonicalizer = Canonicalizer(NetworkBundle.load(), [model])
    stages = Stages(model)
    seen: list[RenderedFrame] = []
    walks: list[Walk] = []
    answers: list[Array] = []
    confidences: list[float] = []
    for _ in tqdm(range(views), desc="views", unit="view", disable=not progress):
        rendered = render_frame(rng, model.reference, textures.background, CONDITIONS, FRAME_SIZE)
        box = jittered_box(rng, rendered.box)
        walk = stages.walk(rendered.frame, box)
        found = canonicalizer.process(rendered.frame, [Region(model.name, *box)])
        seen.append(rendered)
        walks.append(walk)
        answers.append(found[0].homography if found else np.full((3, 3), np.nan))
        confidences.append(found[0].confidence if found and found[0].accepted else 0.0)
    symmetries = symmetry_homographies(model.size, model.symmetry)
    robot = np.array(answers)
    known = theta.nearest_symmetric(
        robot, [rendered.homography for rendered in seen], symmetries, model.size
    )
    errors = np.stack(
        [
            theta.corner_errors([walk.homographies[i] for walk in walks], known, model.size)
            for i in range(len(stages.names) + 1)
        ],
        axis=1,
    )
    final = theta.corner_errors(robot, known, model.size)
    accepted = np.array(confidences) > 0
    apart = theta.corner_errors(robot, [walk.homographies[-1] for walk in walks], model.size)
    examples = list(_examples(stages, seen, walks, robot, known, errors, final, seed, progress))
    return Study(
        name=model.name,
        input_size=FRAME_SIZE,
        output_size=model.size,
        found=robot,
        known=known,
        stages=("region", *stages.names),
        stage_errors=errors,
        start=None,
        bend=None,
        troubles=tuple(_confidence_troubles(accepted, final)),
        examples=tuple(examples),
        sensitivity_of=f"the patch that the network's last stage, {SEARCH_STAGES[-1][0]}, saw",
        draws=DRAWS,
        notes=(
            "Theta is what the robot's own code answers. The stages below are walked again in "
            "PyTorch, for the gradients: the two ends differ by "
            f"{np.median(apart):.2g} px of the corners in the median, by more than 1 px in "
            f"{(apart > 1).mean():.0%} of the views.",
            f"{accepted.mean():.0%} of the answers are sure enough to be published.",
        ),
    )


def _examples(
    stages: Stages,
    views: Sequence[RenderedFrame],
    walks: Sequence[Walk],
    found: Array,
    known: Array,
    errors: Array,
    final: Array,
    seed: int,
    progress: bool,
) -> Iterator[Example]:
    size = stages.model.size
    chosen = report.chosen(final, len(views), EXAMPLES)
    walked = report.evenly(len(chosen), report.STRIPS)
    last = len(stages.names) - 2  # of the network's stages
    for place, (index, label) in enumerate(
        tqdm(chosen, desc="sensitivity", unit="view", disable=not progress)
    ):
        rendered, walk = views[index], walks[index]
        # Every stage of a few examples, of the others only the last.
        maps = {
            stage: stages.maps(walk, stage, seed)
            for stage in ([*range(last)] if place in walked else []) + [last]
        }
        side = len(walk.patches[last])
        sampler, patch = FrameSampler(rendered.frame), patch_to_canonical(side, size)
        frames = []
        if place in walked:
            seen = [each.byte().numpy() for each in walk.patches]
            seen += [sampler.sample(each @ patch, (side, side)) for each in walk.homographies[-2:]]
            frames = [
                Frame(
                    name,
                    _rgb(picture),
                    float(error),
                    maps[stage]["corners"] if stage in maps else None,
                )
                for stage, (name, picture, error) in enumerate(
                    zip((*stages.names, "result"), seen, errors[index], strict=True)
                )
            ]
        inside = math.nan, math.nan
        if is_visible_face(walk.homographies[last], size):
            # Where the face truly is in the patch that the last stage saw.
            to_patch = invert(walk.homographies[last] @ patch)
            outline = apply(to_patch, to_corners(known[index], size))
            inside = (
                sensitivity.share_inside(maps[last]["corners"], outline),
                sensitivity.share_inside(np.ones((side, side)), outline),
            )
        cut, (left, top) = _around(rendered)
        yield Example(
            picture=cut,
            output=_rgb(sampler.sample(found[index], size)),
            grid=_lattice(found[index], size) - (left, top),
            known=to_corners(known[index], size) - (left, top),
            error=float(final[index]),
            label=label,
            strip=tuple(frames),
            seen=_rgb(walk.patches[last].byte().numpy()),
            maps=maps[last],
            inside=inside,
        )


def _confidence_troubles(accepted: NDArray[np.bool_], errors: Array) -> list[str]:
    """What is wrong with what is published: far-off answers that are, good ones that are not."""
    wrong = accepted & (errors > 8.0)
    withheld = ~accepted & (errors < 3.0)
    found = []
    if wrong.any():
        found.append(
            f"{wrong.sum()} of {len(errors)} answers are off by more than 8 px and would be "
            "published nevertheless."
        )
    if withheld.mean() > 0.05:
        found.append(
            f"{withheld.mean():.0%} of the answers are right within 3 px and would be withheld: "
            "confidence below the threshold."
        )
    return found


def _around(rendered: RenderedFrame) -> tuple[Picture, tuple[int, int]]:
    """The part of a view around its face, RGB, and the frame pixel that its first one is."""
    corners = to_corners(rendered.homography, rendered.size)
    centre, reach = corners.mean(axis=0), 0.72 * float(np.ptp(corners, axis=0).max())
    height, width = rendered.frame.shape[:2]
    low = np.clip(np.floor(centre - reach), 0, [width - 2, height - 2]).astype(int)
    high = np.clip(np.ceil(centre + reach), low + 2, [width, height]).astype(int)
    cut = rendered.frame[low[1] : high[1], low[0] : high[0]]
    picture = np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2RGB), np.uint8)
    return picture, (int(low[0]), int(low[1]))


def _lattice(homography: Array, size: tuple[int, int]) -> Array:
    """(_LINES, _LINES, 2): where evenly spaced points of the face lie, edge to edge."""
    (left, top), _, (right, bottom), _ = face_corners(size)
    xs, ys = np.linspace(left, right, _LINES), np.linspace(top, bottom, _LINES)
    return apply(homography, np.stack(np.meshgrid(xs, ys), axis=-1))


def _rgb(picture: NDArray[np.uint8]) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB), np.uint8)


def _scaled(homography: Array) -> Array:
    scaled: Array = homography / homography[2, 2]
    return scaled
