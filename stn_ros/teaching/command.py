"""`stn-ros teach`: one photo of a flat face becomes an object."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from stn_ros.geometry.homography import Array, face_corners
from stn_ros.recordings.recording import Recording
from stn_ros.recordings.registry import open_recording
from stn_ros.runtime.bundle import NetworkBundle
from stn_ros.runtime.canonicalizer import Canonicalizer
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.references import encode
from stn_ros.runtime.finder.session import FinderSession
from stn_ros.runtime.object_model import ObjectModel, check_folder, check_name
from stn_ros.runtime.paths import OBJECT_FILE, models_folder, objects_folder
from stn_ros.runtime.pipeline import Pipeline
from stn_ros.synthesis.scene import LabelledFrame
from stn_ros.teaching import face
from stn_ros.teaching.outline import Picture
from stn_ros.teaching.self_test import DISTRACTORS, SelfTest, mistaken_distractors, self_test, table
from stn_ros.teaching.sightings import HELD_OUT, agreement, find_sightings

DESCRIPTION = """\
Make an object from one photo of its flat face (front of a box, cover, label, sign, panel).

Take the photo square-on and sharp, in even light, the face filling most of it. Then
  stn-ros teach box.jpg --size 0.192x0.123 --name my_box
with the face's width and height in metres, as the photo shows it. No training is needed. Without
--size the object is aligned but has no pose.

The face's outline is looked for in the photo. A photo cropped to the face is taken whole: say so
with --cropped, for one of a camera's format (4:3, 3:2, 16:9) always. If that goes wrong, give the
corners (--corners) or click them (--click). Of a picture with transparent parts the face is what is
opaque.

Teaching ends with a self-test on rendered views: the errors to expect by tilt and distance,
rotations that look alike, and whether there is texture enough; self_test.jpg in the object's folder
shows sixteen of the views. An object of which less than four fifths of them are right is not
written, and the command ends with 1. Further photos are no part of the object: each is tried, and
it is said whether the object is recognised in it.

With --tune the network is trained on for this object alone, and the object keeps that network if
the self-test is better with it and no more distractors are taken for the object. An object with its
own network costs the robot more time: no other object shares its batches.

With --frames too it is trained on what one camera sees as well, without labels: the object is
followed through a rosbag (folder or file; with several image topics, one is chosen by --topic), a
film or a folder of pictures in which it moves, and where it was seen so, refined on the pixels, is
what teaches. How sure an answer must be to be published is set anew, too, by how sure right and
wrong ones are in this camera. The last fifth is kept out of all that. The object keeps the tuned
network only if that finds it better there, and the self-test is no worse. Frames must be
undistorted."""
PICTURE = "self_test.jpg"
LEAST_RIGHT = 0.8
"""Share of right answers in the self-test below which an object is refused."""
_LONG_FACE = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photo of the face (then tries)")
    parser.add_argument("--name", required=True, help="letters, digits, underscores: my_box")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="of the face, in metres")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cropped", action="store_true", help="the photo shows the face alone")
    where.add_argument(
        "--corners",
        metavar="'X,Y X,Y X,Y X,Y'",
        help="of the face in the photo, pixels, clockwise from its top left",
    )
    where.add_argument("--click", action="store_true", help="click the corners in a window")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="the object's folder (default: NAME among this user's objects, where nodes look)",
    )
    parser.add_argument(
        "--accept-weak",
        action="store_true",
        help=f"keep the object even if less than {LEAST_RIGHT:.0%}% of the self-test is right",
    )
    parser.add_argument("--model", type=Path, help="network folder (default: the one shipped)")
    parser.add_argument(
        "--tune",
        type=float,
        metavar="MINUTES",
        help="train the network on for this object; kept if it is better (needs PyTorch)",
    )
    parser.add_argument(
        "--frames",
        metavar="SOURCE",
        help="bag, film or folder of pictures, unlabelled, that show the object: with --tune",
    )
    parser.add_argument("--topic", default="", help="of the images, in a bag that has several")


def run(args: argparse.Namespace) -> int:
    """Teach; writes the object's folder, or nothing.

    Returns:
        0, or 1 where the self-test finds the object too seldom.
    """
    check_name(args.name)
    network = args.model or models_folder() / "canonicalizer"
    bundle, finder = NetworkBundle.load(network), FinderBundle.load()
    if args.tune is not None:
        _check_tuning(args.tune)
    elif args.frames is not None:
        raise ValueError("--frames: are for tuning; give --tune MINUTES too")
    recording = None if args.frames is None else open_recording(args.frames, topic=args.topic)
    folder = args.output or objects_folder() / args.name
    check_folder(folder)
    size_m = face.parse_size(args.size) if args.size else None
    photo = face.read_photo(args.photos[0])
    tries = [(path, face.read_photo(path)) for path in args.photos[1:]]
    corners, decision = _corners(args, photo, size_m)
    model = make_object(args.name, photo, corners, size_m)
    print(f"face: {decision}; corners {face.listed(corners)}")

    sightings = [] if recording is None else _found(bundle, model, recording)
    split = round((1 - HELD_OUT) * len(sightings))
    tested = self_test(bundle, model)
    with tempfile.TemporaryDirectory() as scratch:
        if args.tune is not None:
            tuned = Path(scratch) / "network"
            known = replace(model, symmetry=tested.symmetry)
            tune_object(network, known, args.tune, tuned, sightings[:split])
            model, tested, verdict = keep_better(bundle, model, tested, tuned, sightings[split:])
            print(f"tuned for {args.tune:g} minutes: {verdict}")
        if tested.report["right"] < LEAST_RIGHT and not args.accept_weak:
            print(_report(model, tested))
            print(f"stn-ros teach: {_refusal(model, tested)}", file=sys.stderr)
            return 1
        embeddings = encode(FinderSession(finder), model.reference)
        model = replace(
            model, symmetry=tested.symmetry, self_test=tested.report, embeddings=embeddings
        )
        picture = cv2.imencode(".jpg", tested.picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        replaced = (folder / OBJECT_FILE).is_file()
        model.save(folder, {PICTURE: picture})
    model = ObjectModel.load(folder)
    print(_report(model, tested))
    for path, other in tries:
        print(f"{path}: {tried(bundle, model, other)}")
    print(f"{'replaced' if replaced else 'written'}: {folder} (views: {folder / PICTURE})")
    return 0


def make_object(
    name: str, photo: Picture, corners: Array, size_m: tuple[float, float] | None
) -> ObjectModel:
    """The object whose face has these corners (4, 2) in a photo, not tested yet.

    Raises:
        ValueError: the corners bound no face, do not fit the size, or the face is blank.
    """
    face.check_corners(corners, photo)
    face.check_aspect(corners, size_m)
    reference = face.rectify(photo, corners, face.canonical_size(corners, size_m))
    face.check_not_blank(reference, "the face in the photo")
    return ObjectModel(name, reference, size_m)


def tune_object(
    network: Path,
    model: ObjectModel,
    minutes: float,
    folder: Path,
    sightings: Sequence[LabelledFrame],
) -> None:
    """Write to `folder` the network of folder `network`, tuned for an object.

    With sightings its confidence is set anew for the camera that took them.
    """
    from stn_ros.teaching.camera_confidence import adapt_confidence
    from stn_ros.training.network.tune import tune

    tune(network, model.name, model.reference, minutes, folder, sightings=sightings)
    if sightings:
        shift = adapt_confidence(replace(model, network=folder), sightings)
        print(f"confidence: its log-odds moved by {shift:+.2f} for this camera")


def keep_better(
    bundle: NetworkBundle,
    model: ObjectModel,
    tested: SelfTest,
    tuned: Path,
    held_out: Sequence[LabelledFrame] = (),
) -> tuple[ObjectModel, SelfTest, str]:
    """The object with its tuned network if it is better so, else as it was.

    Better in the self-test is fewer rotations that it is mixed up under (they count as right), then
    a larger share of right answers, then a smaller median corner error. With sightings it is enough
    that rotations and share are no worse, and the sightings decide, see `agreement`. In any case no
    more distractors may be taken for it.

    Args:
        bundle: the network `tested` was measured with. tuned: network folder.
        held_out: sightings that `tuned` was not trained on.

    Returns:
        The object, its self-test, and both figures and the choice in words.
    """
    own = replace(model, network=tuned)
    retested = self_test(bundle, own)
    change = f"{_figures(tested)} before, {_figures(retested)} after"
    if held_out:
        seen, reseen = (
            agreement(bundle, replace(each, symmetry=test.symmetry), held_out)
            for each, test in ((model, tested), (own, retested))
        )
        change += (
            f"; of {len(held_out)} held-out frames {seen.right:.1%} found anew, network alone "
            f"{seen.error:.2f} px off, before, {reseen.right:.1%}, {reseen.error:.2f} px after"
        )
        better = _rank(retested)[:2] >= _rank(tested)[:2]
        better = better and (reseen.right, -reseen.error) > (seen.right, -seen.error)
    else:
        better = _rank(retested) > _rank(tested)
    if not better:
        return model, tested, f"{change}; no better, so the tuned network is dropped"
    before, after = (mistaken_distractors(bundle, each) for each in (model, own))
    change += f"; of {DISTRACTORS} distractors {before} taken for it before, {after} after"
    if after > before:
        return model, tested, f"{change}; too credulous, so the tuned network is dropped"
    return own, retested, f"{change}; better, so this object keeps the tuned network"


def _rank(tested: SelfTest) -> tuple[int, float, float]:
    error = tested.report["corner_error_px"]
    return -len(tested.symmetry), tested.report["right"], -(math.inf if error is None else error)


def _figures(tested: SelfTest) -> str:
    error = tested.report["corner_error_px"]
    median = "no corner error" if error is None else f"median corner error {error:.2f} px"
    rotations = f" up to {len(tested.symmetry)} look-alike rotations" if tested.symmetry else ""
    return f"{tested.report['right']:.1%} right{rotations}, {median}"


def _check_tuning(minutes: float) -> None:
    """Raise ValueError unless one can tune for so long."""
    if not 0 < minutes < math.inf:
        raise ValueError(f"--tune {minutes:g}: must be the minutes of training, more than 0")
    try:
        import stn_ros.training.network.tune  # noqa: F401  PyTorch is no part of the robot's install.
    except ModuleNotFoundError as error:
        raise ValueError(f"--tune: {error.name} is missing: pip install 'stn_ros[train]'") from None


def _found(bundle: NetworkBundle, model: ObjectModel, recording: Recording) -> list[LabelledFrame]:
    found = find_sightings(bundle, model, recording)
    print(
        f"frames: {found.read} read, {model.name} seen in {found.answered}, "
        f"{len(found.sightings)} used, the last fifth of them to judge"
    )
    return found.sightings


def _corners(
    args: argparse.Namespace, photo: Picture, size_m: tuple[float, float] | None
) -> tuple[Array, str]:
    if args.corners:
        return face.parse_corners(args.corners), "the corners given"
    if args.click:
        return face.click_corners(photo), "the corners clicked"
    if args.cropped:
        return face_corners((photo.shape[1], photo.shape[0])), "the whole photo"
    opaque = face.read_opaque(args.photos[0])
    if opaque is not None:
        return face.opaque_face(opaque), "what is opaque in the photo"
    return face.locate_face(photo, size_m)


def _refusal(model: ObjectModel, tested: SelfTest) -> str:
    """Why the object is not kept, and what would help."""
    width, height = model.size
    right = f"only {tested.report['right']:.0%} of the self-test's views are right, and an object "
    right += f"needs {LEAST_RIGHT:.0%}: {model.name} is not written"
    if max(width, height) > _LONG_FACE * min(width, height):
        return (
            f"{right}. A face of {width}:{height} is too long and narrow: teach a part of it "
            "(--corners) with that part's size, or keep it with --accept-weak"
        )
    return (
        f"{right}. Take a sharper or nearer photo, choose a face or a part of it with more print "
        "(--corners), or keep it with --accept-weak, to be used where the table above is good"
    )


def _report(model: ObjectModel, tested: SelfTest) -> str:
    lines = [table(tested.report), f"texture: {tested.report['texture']}"]
    if not model.symmetry:
        lines.append("look-alike rotations: none")
    if model.size_m is None:
        lines.append("no --size: views are aligned, but there is no pose")
    return "\n".join([*lines, *(f"note: {warning}" for warning in tested.warnings)])


def tried(bundle: NetworkBundle, model: ObjectModel, photo: Picture) -> str:
    """Whether the object is recognised in a further photo, in words."""
    found = Pipeline(Canonicalizer(bundle, [model])).find(photo).sightings
    if not found:
        return "not recognised"
    corners = face.listed(found[0].corners)
    return f"recognised, confidence {found[0].confidence:.2f}, corners {corners}"
