#!/usr/bin/env python3
"""The shipped network, adapted to one object before one camera, without labels.

A camera with a look of its own (dim, blurred, noisy, a glare in one place) films an object that
moves. The network is trained on for it in three ways, and judged on later frames of that camera,
each on its own, by the simulated truth:

  shipped   not at all
  photo     on rendered views of the photo it was taught with: `stn-ros teach --tune`
  frames    on these and, half and half, on the film's frames, and the confidence set anew for
            this camera: `stn-ros teach --tune --frames`

The film's labels are what the shipped network finds by following; the truth is for judging alone.
The same camera then films other objects, and the one that is not there is asked for.
A film in which it finds too little teaches nothing: then the shipped network is judged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import command
import cv2
import numpy as np
from runs import Runs

from stn_ros.evaluation.trials import (
    RIGHT_PX,
    WRONG_PX,
    Ours,
    Trial,
    accuracy,
    at_threshold,
    hold,
    jittered,
)
from stn_ros.recordings.bag_writer import BagWriter
from stn_ros.recordings.registry import open_recording
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import CanonicalizerSettings
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import find_object, models_folder
from stn_ros.simulation.world import Truth, World
from stn_ros.synthesis.scene import LabelledFrame, photographed
from stn_ros.teaching.command import keep_better, tune_object
from stn_ros.teaching.self_test import SelfTest, self_test
from stn_ros.teaching.sightings import HELD_OUT, find_sightings
from stn_ros.teaching.texture import look_alike_rotations

EPILOG = """\
examples:
  python experiments/adaptation.py --objects novel --minutes 1 --seeds 1
      the shortest look
  python experiments/adaptation.py
      the table; interrupt it as you like, the same command goes on where it stopped
  python experiments/adaptation.py --minutes 20
      as long as one would tune for a robot

The folder of --out then holds
  runs.json        one entry for each finished run
  table.md         shares of right answers and corner errors, by object and way
  adaptation.png   the same of each film, before and after
"""

OBJECTS = ("board_game", "city_map", "novel", "tea_box")
WAYS = ("shipped", "photo", "frames")
RATE = 10.0
"""Frames a second of the film."""
LATER = 20.0
"""Seconds between the film and the frames to judge on."""
APART = 0.5
"""Seconds between two of these."""
LEAST_VISIBLE = 0.75


@dataclass(frozen=True)
class Settings:
    """Minutes of tuning, frames of the film, and frames to judge on, as many without the object."""

    minutes: float
    frames: int
    held_out: int


Job = dict[str, str | int]
"""What names a run: object, way, seed."""


def jobs(objects: list[str], seeds: int) -> list[Job]:
    """All runs, one seed after the other, the ways of one film together."""
    return [
        {"object": name, "way": way, "seed": seed}
        for seed in range(seeds)
        for name in objects
        for way in WAYS
    ]


class Camera:
    """An object before a camera with a look of its own, both drawn by seed.

    Attributes:
        model: the object as it would be taught, from a photograph of its face.
        world: the object's way, and the camera's matrix.
    """

    def __init__(self, name: str, seed: int) -> None:
        shown = ObjectModel.load(find_object(name))
        rng = np.random.default_rng([seed, 7])
        self.model = ObjectModel(
            name,
            photographed(rng, shown.reference),
            shown.size_m,
            symmetry=look_alike_rotations(shown.reference),
        )
        self.world = World([shown], seed=seed, blur=0.0, noise=0.0)
        self._seed = seed
        self._gain = rng.uniform(0.1, 0.2)
        self._cast = 1 + 0.1 * rng.uniform(-1, 1, 3)
        self._blur = rng.uniform(1.8, 3.2)
        self._noise = rng.uniform(4.0, 8.0)
        width, height = self.world.camera.size
        glare = np.zeros((height, width), np.float32)
        middle = (rng.uniform(0.3, 0.7, 2) * (width, height)).tolist()
        cv2.ellipse(glare, (middle, (240.0, 70.0), rng.uniform(0, 180)), 150.0, -1)
        self._glare = cv2.GaussianBlur(glare, (0, 0), 25)[..., None]

    def frame(self, t: float, world: World | None = None) -> tuple[np.ndarray, Truth]:
        """The frame (H, W, 3) BGR at `t` seconds, and where the object of a world is in it."""
        rng = np.random.default_rng([self._seed, 8, round(t * 1000)])
        clean, (truth,) = (world or self.world).render(t)
        seen = cv2.GaussianBlur(clean, (0, 0), self._blur) * (self._gain * self._cast)
        seen = seen + self._glare + rng.normal(0, self._noise, clean.shape)
        return seen.clip(0, 255).astype(np.uint8), truth


def film(camera: Camera, settings: Settings, bag: Path) -> None:
    """Write what the camera sees as a bag, without labels."""
    with BagWriter(bag) as writer:
        for index in range(settings.frames):
            frame, _ = camera.frame(index / RATE)
            writer.write(round(index / RATE * 1e9), frame, camera.world.camera.K, [])


def held_out(camera: Camera, settings: Settings, seed: int) -> Iterator[Trial]:
    """Later frames in which the face is to be seen, with boxes as a detector gives them."""
    rng = np.random.default_rng([seed, 9])
    t, found = settings.frames / RATE + LATER, 0
    while found < settings.held_out:
        frame, truth = camera.frame(t)
        t += APART
        if truth.visible >= LEAST_VISIBLE:
            found += 1
            box = jittered(rng, truth.box, camera.world.camera.size)
            yield Trial("held out", camera.model, frame, box, truth.homography)


def absent(camera: Camera, settings: Settings, seed: int) -> Iterator[Trial]:
    """Frames of the same camera that show other objects, one after the other."""
    others = [name for name in OBJECTS if name != camera.model.name]
    worlds = [
        World([ObjectModel.load(find_object(name))], seed=seed, blur=0.0, noise=0.0)
        for name in others
    ]
    rng = np.random.default_rng([seed, 10])
    t, found = settings.frames / RATE + LATER, 0
    while found < settings.held_out:
        frame, truth = camera.frame(t, worlds[found % len(worlds)])
        t += APART
        if truth.visible >= LEAST_VISIBLE:
            found += 1
            yield Trial(
                "absent",
                camera.model,
                frame,
                jittered(rng, truth.box, camera.world.camera.size),
                None,
            )


def run(settings: Settings, **job: str | int) -> dict[str, Any]:
    """Tune as the way says and measure on the later frames.

    Returns:
        Shares: right (see `RIGHT_PX`), published_right of all frames, published_wrong (beyond
        `WRONG_PX`) of the published, published_absent of the frames without the object; median and
        p90 of the corner error in pixels, published or not, alone the median without the refinement
        on pixels; sightings trained on and steps; whether `teach` keeps the network.
    """
    name, way, seed = str(job["object"]), str(job["way"]), int(job["seed"])
    camera, bundle = Camera(name, seed), NetworkBundle.load()
    model, kept, steps = camera.model, False, 0
    sightings = _filmed(settings, name, seed) if way == "frames" else []
    split = round((1 - HELD_OUT) * len(sightings))
    with tempfile.TemporaryDirectory() as scratch:
        if way == "photo" or sightings:
            tuned = Path(scratch) / "network"
            known = replace(model, symmetry=_tested(name, seed).symmetry)
            shipped = models_folder() / "canonicalizer"
            tune_object(shipped, known, settings.minutes, tuned, sightings[:split])
            steps = NetworkBundle.load(tuned).card["tuned"]["steps"]
            chosen, _, said = keep_better(
                bundle, model, _tested(name, seed), tuned, sightings[split:]
            )
            print(f"{name} {seed} {way}: {said}")
            kept, model = chosen is not model, replace(model, network=tuned)
        bare = CanonicalizerSettings(photometric_steps=0)
        asked = chain(held_out(camera, settings, seed), absent(camera, settings, seed))
        trials = (replace(trial, model=model) for trial in asked)
        contestants = {"refined": Ours(bundle, [model]), "alone": Ours(bundle, [model], bare)}
        outcomes = hold(trials, contestants, 2 * settings.held_out)
    present = {way: [o for o in of if o.present] for way, of in outcomes.items()}
    errors = {way: [outcome.error for outcome in of] for way, of in present.items()}
    figures, trust = accuracy(present["refined"]), at_threshold(outcomes["refined"])
    return {
        "right": figures["right_before"],
        "published_right": figures["right"],
        "published_wrong": trust["published_wrong"],
        "published_absent": 1 - trust["absent_rejected"],
        "median": float(np.median(errors["refined"])),
        "p90": float(np.quantile(errors["refined"], 0.9, method="higher")),
        "alone": float(np.median(errors["alone"])),
        "sightings": split,
        "steps": steps,
        "kept": kept,
    }


@lru_cache(maxsize=1)
def _filmed(settings: Settings, name: str, seed: int) -> list[LabelledFrame]:
    camera = Camera(name, seed)
    with tempfile.TemporaryDirectory() as scratch:
        bag = Path(scratch) / "bag"
        film(camera, settings, bag)
        try:
            recording = open_recording(str(bag))
            return find_sightings(NetworkBundle.load(), camera.model, recording).sightings
        except ValueError as error:
            print(error)
            return []


@lru_cache(maxsize=1)
def _tested(name: str, seed: int) -> SelfTest:
    return self_test(NetworkBundle.load(), Camera(name, seed).model)


def table(runs: Runs, settings: Settings) -> str:
    """Shares and errors in Markdown, by object and of all."""
    done = runs.runs()
    objects = list(dict.fromkeys(run["object"] for run in done))
    rows = [
        _row(name, way, of)
        for name in (*objects, "all")
        for way in WAYS
        if (of := [r for r in done if r["way"] == way and name in (r["object"], "all")])
    ]
    header = ["object", "network", f"within {RIGHT_PX:g} px", "and published"]
    header += [f"of published beyond {WRONG_PX:g} px", "of absent published"]
    header += ["median, px", "90 %, px"]
    header += ["network alone, px", "steps", "kept", "films"]
    return "\n".join(
        [
            "# Adaptation to a camera without labels",
            "",
            f"{settings.frames} frames at {RATE:g} Hz to learn from, {settings.minutes:g} minutes "
            f"of training, {settings.held_out} later frames to judge on, each alone: mean ± "
            "standard deviation over the films.",
            "",
            command.markdown(header, rows),
            "",
            command.effort(done),
            "",
        ]
    )


def _row(name: str, way: str, of: Sequence[dict[str, Any]]) -> list[str]:
    shares = [
        command.spread([100 * run[share] for run in of if run[share] == run[share]], 1)
        for share in ("right", "published_right", "published_wrong", "published_absent")
    ]
    errors = [command.spread([run[error] for run in of]) for error in ("median", "p90", "alone")]
    steps = "" if way == "shipped" else command.spread([run["steps"] for run in of], 0)
    kept = "" if way == "shipped" else f"{sum(run['kept'] for run in of)}"
    shown = [f"{share} %" if share else "" for share in shares]
    return [name, way, *shown, *errors, steps, kept, f"{len(of)}"]


def plot(runs: Runs) -> None:
    """What each film's frames gave with each network, a line for a film."""
    from matplotlib.figure import Figure

    done = runs.runs()
    figure = Figure(figsize=(10, 4), layout="constrained")
    shares, errors = figure.subplots(1, 2)
    films = dict.fromkeys((run["object"], run["seed"]) for run in done)
    objects = list(dict.fromkeys(name for name, _ in films))
    for name, seed in films:
        of = {r["way"]: r for r in done if (r["object"], r["seed"]) == (name, seed)}
        ways = [way for way in WAYS if way in of]
        style = {"marker": "o", "color": f"C{objects.index(name)}"}
        style["label"] = "_" if seed else name
        shares.plot(ways, [100 * of[way]["published_right"] for way in ways], **style)
        errors.plot(ways, [of[way]["median"] for way in ways], **style)
    shares.set(ylabel=f"published within {RIGHT_PX:g} px, % of the frames")
    errors.set(ylabel="median corner error, px")
    errors.legend(loc="upper left", bbox_to_anchor=(1, 1))
    for axes in (shares, errors):
        axes.grid(alpha=0.3)
    figure.savefig(runs.folder / "adaptation.png", dpi=150)


def main(arguments: list[str] | None = None) -> None:
    """Run what is not yet there, then write table and plot."""
    parser = command.parser(__doc__ or "", EPILOG, "adaptation")
    command.add_some(parser, "objects", OBJECTS)
    parser.add_argument("--minutes", type=float, default=3.0, help="of tuning (default: 3)")
    parser.add_argument("--frames", type=int, default=300, help="of the film (default: 300)")
    parser.add_argument("--held-out", type=int, default=100, help="to judge on (default: 100)")
    options = command.options(parser, arguments)
    if not options.minutes > 0:
        parser.error(f"--minutes is {options.minutes:g}: must be more than 0")
    settings = Settings(options.minutes, options.frames, options.held_out)
    runs = Runs(options.out, {"settings": asdict(settings)})
    command.complete(runs, jobs(options.objects, options.seeds), partial(run, settings))
    if not runs.runs():
        return
    page = table(runs, settings)
    plot(runs)
    command.write(page, options.out)


if __name__ == "__main__":
    main()
