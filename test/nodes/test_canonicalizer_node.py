"""The node in a real graph: what it publishes, and what it says and does on bad input."""

import array
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed: run `make setup`")
pytest.importorskip("vision_msgs", reason="vision_msgs is not installed: run `make setup`")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from stn_ros.geometry.camera import CameraModel
from stn_ros.geometry.homography import apply, face_corners
from stn_ros.nodes import detections, messages
from stn_ros.nodes.canonicalizer import CanonicalizerNode
from stn_ros.nodes.process import make_executor
from stn_ros.recordings.encodings import to_bgr
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.simulation.world import World
from stn_ros.synthesis import artwork

pytestmark = pytest.mark.ros
SIZE = (640, 480)
SCENE_TIME = 8.0
TIMEOUT = 60.0
FACES = {"box": ("board_game", (256, 170)), "card": ("transit_map", (200, 256))}
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Graph:
    """A robot around the node: camera, detector and listener over DDS.

    The scene stands still while the stamps go on, so every good frame must give the same answer.
    """

    def __init__(
        self,
        folder: Path,
        namespace: str = "",
        faces: dict[str, tuple[str, tuple[int, int]]] = FACES,
        unsized: Sequence[str] = (),
        **parameters: object,
    ) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.objects = {
            name: ObjectModel(
                name,
                artwork.draw(7, size, style, split="held_out"),
                (0.001 * size[0], 0.001 * size[1]),
            )
            for name, (style, size) in faces.items()
        }
        for name, model in self.objects.items():
            (replace(model, size_m=None) if name in unsized else model).save(folder / name)
        self.world = World(list(self.objects.values()), SIZE, seed=5)
        self.frame, self.truth = self.world.render(SCENE_TIME)
        self.clock = 1000.0
        parameters = {
            "objects": [str(folder / name) for name in faces],
            "diagnostics_period": 0.2,
            **parameters,
        }
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = CanonicalizerNode(
            context=self.context, namespace=namespace, parameter_overrides=overrides
        )
        self.robot = Node("robot", context=self.context, namespace=namespace)
        self.image = self.robot.create_publisher(Image, "image", 5)
        self.info = self.robot.create_publisher(CameraInfo, "camera_info", 5)
        self.detector = self.robot.create_publisher(Detection2DArray, "detections", 5)
        self.heard: dict[str, list] = {}
        for kind, topic in (
            (Detection3DArray, "objects"),
            (TFMessage, "/tf"),
            (DiagnosticArray, "/diagnostics"),
            *((Image, f"{name}/aligned/image") for name in faces),
            *((CameraInfo, f"{name}/aligned/camera_info") for name in faces),
        ):
            self.listen(kind, topic)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._spin, args=(member,))
            for member in (self.node, self.robot)
        ]
        for thread in self._threads:
            thread.start()

    def listen(self, kind: type, topic: str) -> object:
        self.heard[topic] = []
        return self.robot.create_subscription(kind, topic, self.heard[topic].append, 50)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.node.destroy_node()
        self.robot.destroy_node()
        self.context.try_shutdown()

    def _spin(self, member: Node) -> None:
        executor = make_executor(self.context)
        executor.add_node(member)
        while not self._stop.is_set():
            executor.spin_once(timeout_sec=0.1)
        executor.shutdown()

    def call(self, kind: type, service: str, request: object) -> object:
        client = self.robot.create_client(kind, f"canonicalizer/{service}")
        assert client.wait_for_service(TIMEOUT)
        future = client.call_async(request)
        self.wait(future.done, f"no answer from {service}")
        self.robot.destroy_client(client)
        return future.result()

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, "change_state", request).success

    @property
    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def start(self) -> None:
        assert self.change_state(Transition.TRANSITION_CONFIGURE)
        assert self.change_state(Transition.TRANSITION_ACTIVATE)

    def meet(self) -> None:
        """Wait until discovery has met everywhere."""
        for publisher in (self.image, self.info, self.detector):
            self.wait(publisher.get_subscription_count, "node does not subscribe")
        self.wait(lambda: self.robot.count_publishers("objects"), "node does not publish")
        for _ in range(5):
            header = self.header()
            self.send(*self.good(header))
            time.sleep(0.05)

    def reset(self) -> None:
        assert self.change_state(Transition.TRANSITION_DEACTIVATE)
        assert self.change_state(Transition.TRANSITION_CLEANUP)

    def set(self, name: str, value: object) -> tuple[bool, str]:
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        result = self.call(SetParameters, "set_parameters", request).results[0]
        return result.successful, result.reason

    def wait(self, condition: Callable[[], object], what: str) -> object:
        end = time.monotonic() + TIMEOUT
        while not (result := condition()):
            assert time.monotonic() < end, f"{what}; diagnostics: {self.diagnosis()}"
            time.sleep(0.005)
        return result

    def diagnosis(self) -> str:
        return " | ".join(array.status[0].message for array in self.heard["/diagnostics"][-5:])

    def expect_diagnosis(self, cause: str, level: bytes | None = None) -> DiagnosticStatus:
        """Wait until a diagnostic status names the cause."""
        return self.wait(
            lambda: next(
                (
                    array.status[0]
                    for array in self.heard["/diagnostics"]
                    if cause in array.status[0].message and level in (None, array.status[0].level)
                ),
                None,
            ),
            f"'{cause}' is not named",
        )

    def header(self, advance: float = 1 / 30) -> Header:
        self.clock += advance
        stamp = Time(nanoseconds=round(self.clock * 1e9)).to_msg()
        return Header(stamp=stamp, frame_id="lens")

    def good(self, header: Header) -> tuple[CameraInfo, Detection2DArray, Image]:
        seen = self.world.detect(SCENE_TIME, self.truth)
        boxes = [
            detections.detection2d(one.object_name, one.score, one.box, header) for one in seen
        ]
        return (
            messages.camera_info_message(self.world.camera.K, SIZE, header),
            Detection2DArray(header=header, detections=boxes),
            messages.image_message(self.frame, header),
        )

    def send(
        self,
        info: CameraInfo | None,
        found: Detection2DArray | None,
        image: Image | None,
    ) -> None:
        for publisher, msg in ((self.info, info), (self.detector, found), (self.image, image)):
            if msg is not None:
                publisher.publish(msg)

    def result(self, header: Header) -> Detection3DArray:
        """The objects published for the image of this header."""

        def find() -> Detection3DArray | None:
            return next((msg for msg in self.heard["objects"] if msg.header == header), None)

        return self.wait(find, "no answer to the image")

    def see(self, advance: float = 1 / 30) -> Detection3DArray:
        """Send one good frame; all objects must come out, posed."""
        header = self.header(advance)
        self.send(*self.good(header))
        found = self.result(header)
        assert sorted(one.id for one in found.detections) == sorted(self.objects)
        return found

    def matching(self, topic: str, stamp: object) -> object:
        return self.wait(
            lambda: next((m for m in self.heard[topic] if m.header.stamp == stamp), None),
            f"nothing on {topic}",
        )

    def forget(self) -> None:
        for heard in self.heard.values():
            heard.clear()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    graph = Graph(tmp_path_factory.mktemp("objects"))
    graph.start()
    graph.meet()
    yield graph
    graph.close()


@pytest.fixture
def graph(shared: Graph) -> Graph:
    shared.forget()
    return shared


def matrix(rotation: object, translation: object) -> np.ndarray:
    """4x4 matrix of a ROS transform or pose, written out."""
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), translation.x],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), translation.y],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), translation.z],
            [0, 0, 0, 1],
        ]
    )


def project(K: np.ndarray, points: np.ndarray) -> np.ndarray:
    seen = points @ K.T
    return seen[:, :2] / seen[:, 2:]


def face(size_m: tuple[float, float]) -> np.ndarray:
    """The face's corners in the object frame: TL, TR, BR, BL, homogeneous."""
    x, y = size_m[0] / 2, size_m[1] / 2
    return np.array([(-x, y, 0, 1), (x, y, 0, 1), (x, -y, 0, 1), (-x, -y, 0, 1)])


def test_poses_views_and_transforms_of_one_frame_belong_together(graph: Graph):
    found = graph.see()
    stamp = found.header.stamp
    assert found.header.frame_id == "lens"
    tf = graph.wait(
        lambda: next(
            (m for m in graph.heard["/tf"] if m.transforms[0].header.stamp == stamp), None
        ),
        "no TF",
    )
    frames = {one.child_frame_id: one for one in tf.transforms}
    assert set(frames) == {"box", "box/view", "card", "card/view"}
    truths = {truth.object_name: truth for truth in graph.truth}
    for detection in found.detections:
        name, model, truth = detection.id, graph.objects[detection.id], truths[detection.id]
        (result,) = detection.results
        assert result.hypothesis.class_id == name
        assert 0.5 <= result.hypothesis.score <= 1
        np.testing.assert_allclose((detection.bbox.size.x, detection.bbox.size.y), model.size_m)

        to_object, to_view = frames[name], frames[f"{name}/view"]
        assert to_object.header.frame_id == "lens"
        assert to_view.header.frame_id == name
        camera_object = matrix(to_object.transform.rotation, to_object.transform.translation)
        object_view = matrix(to_view.transform.rotation, to_view.transform.translation)
        pose = result.pose.pose
        np.testing.assert_allclose(matrix(pose.orientation, pose.position), camera_object)

        # The pose is the true one: its corners fall on the true ones in the camera.
        corners = apply(truth.homography, face_corners(model.size))
        posed = project(graph.world.camera.K, (face(model.size_m) @ camera_object.T)[:, :3])
        assert np.linalg.norm(posed - corners, axis=1).mean() < 3
        covariance = np.array(result.pose.covariance).reshape(6, 6)
        assert np.linalg.eigvalsh(covariance).min() > 0

        # The view is a camera: what TF and camera_info say lands on its corners.
        image = graph.matching(f"{name}/aligned/image", stamp)
        info = graph.matching(f"{name}/aligned/camera_info", stamp)
        assert image.header == info.header
        assert image.header.frame_id == f"{name}/view"
        assert (info.width, info.height) == (image.width, image.height) == model.size
        K = np.array(info.k).reshape(3, 3)
        in_view = (face(model.size_m) @ np.linalg.inv(object_view).T)[:, :3]
        assert np.abs(project(K, in_view) - face_corners(model.size)).max() < 0.5
        picture = to_bgr(image).astype(float)
        reference = cv2.GaussianBlur(model.reference, (0, 0), 1.5).astype(float)
        assert np.corrcoef(picture.ravel(), reference.ravel())[0, 1] > 0.8


def test_who_has_a_view_and_its_camera_has_their_transform(graph: Graph):
    """As `lookup_transform` without a timeout wants it, frame by frame."""
    known: list[bool] = []
    waiting: dict[int, int] = {}

    def arrived(msg: Image | CameraInfo) -> None:
        stamp = messages.nanoseconds(msg.header.stamp)
        waiting[stamp] = waiting.get(stamp, 0) + 1
        if waiting[stamp] == 2:
            transforms = [each for tf in graph.heard["/tf"] for each in tf.transforms]
            known.append(
                any(
                    each.header.stamp == msg.header.stamp and each.child_frame_id == "box/view"
                    for each in transforms
                )
            )

    listening = [
        graph.robot.create_subscription(kind, f"box/aligned/{topic}", arrived, 50)
        for kind, topic in ((Image, "image"), (CameraInfo, "camera_info"))
    ]
    frames = 0
    while len(known) < 40:
        graph.see()
        frames += 1
        assert frames < 200, "views do not come"
    for each in listening:
        graph.robot.destroy_subscription(each)
    assert sum(known) >= 0.99 * len(known), f"{sum(known)} of {len(known)}"


def test_overlay_is_drawn_while_somebody_looks(graph: Graph):
    subscription = graph.listen(Image, "debug/image")
    graph.wait(lambda: graph.robot.count_publishers("debug/image"), "no publisher")
    graph.wait(lambda: graph.see() and graph.heard["debug/image"], "no overlay")
    picture = to_bgr(graph.heard["debug/image"][-1])
    assert picture.shape == graph.frame.shape
    assert (picture != graph.frame).any(axis=2).mean() > 0.002
    graph.robot.destroy_subscription(subscription)


def test_tracking_goes_on_without_detections(graph: Graph):
    graph.see()
    header = graph.header()
    info, _, image = graph.good(header)
    graph.send(info, None, image)
    assert len(graph.result(header).detections) == 2


def test_diagnostics_tell_rates_latency_and_confidence(graph: Graph):
    for _ in range(3):
        graph.see()
    graph.forget()
    graph.see()
    status = graph.wait(
        lambda: next(
            (
                array.status[0]
                for array in graph.heard["/diagnostics"]
                if any(
                    pair.key.startswith("latency since arrival") for pair in array.status[0].values
                )
            ),
            None,
        ),
        "no diagnostics",
    )
    values = {pair.key: pair.value for pair in status.values}
    assert (status.level, status.message) == (OK, "box, card in view")
    assert status.hardware_id == "lens"
    assert values["engine"]
    assert int(values["dropped in all"]) >= 0
    assert "confidence" in values["object box"]
    assert float(values["images per second"]) > 0


def spoiled(image: Image, **changes: object) -> Image:
    for name, value in changes.items():
        setattr(image, name, value)
    return image


BAD_IMAGES = {
    "truncated": (lambda image: spoiled(image, data=image.data[:-1000]), "image data is truncated"),
    "no data": (lambda image: spoiled(image, data=array.array("B")), "image data is truncated"),
    "wrong step": (lambda image: spoiled(image, step=image.step - 7), "image step 1913 is wrong"),
    "zero size": (
        lambda image: spoiled(image, width=0, height=0, data=array.array("B")),
        "image is empty: width x height = 0 x 0",
    ),
    "unknown encoding": (
        lambda image: spoiled(image, encoding="rgb12"),
        "encoding 'rgb12' is unknown",
    ),
    "depth": (lambda image: spoiled(image, encoding="32FC1"), "image step 1920 is wrong"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_image_is_named_and_the_next_good_one_answered(graph: Graph, case: str):
    spoil, cause = BAD_IMAGES[case]
    info, found, image = graph.good(graph.header())
    graph.send(info, found, spoil(image))
    status = graph.expect_diagnosis(cause, ERROR)
    assert status.message.startswith("/image: ")
    graph.see()


def test_twelve_bits_in_sixteen_are_scaled_and_named(graph: Graph):
    header = graph.header()
    info, found, image = graph.good(header)
    grey = cv2.cvtColor(graph.frame, cv2.COLOR_BGR2GRAY).astype("<u2") * 16
    image.encoding, image.step = "mono16", 2 * image.width
    image.data = array.array("B", grey.tobytes())
    graph.send(info, found, image)
    assert len(graph.result(header).detections) == 2
    graph.expect_diagnosis(
        f"/image: image encoding 'mono16': the largest of its 16-bit values is "
        f"{grey.max()}, so 12 bits are assumed"
    )


def test_one_pixel_image_does_no_harm(graph: Graph):
    header = graph.header()
    info, found, _ = graph.good(header)
    graph.send(info, found, messages.image_message(np.zeros((1, 1, 3), np.uint8), header))
    graph.expect_diagnosis("outside the 1x1 image")
    graph.see()


def test_uncalibrated_camera_is_named_views_still_come(graph: Graph):
    header = graph.header()
    _, found, image = graph.good(header)
    graph.send(CameraInfo(header=header, width=SIZE[0], height=SIZE[1]), found, image)
    graph.expect_diagnosis("uncalibrated", WARN)
    graph.forget()
    header = graph.header()
    _, found, image = graph.good(header)
    graph.send(None, found, image)
    assert graph.result(header).detections == []
    info = graph.matching("box/aligned/camera_info", header.stamp)
    assert not np.any(info.k)
    assert graph.matching("box/aligned/image", header.stamp).width == 256
    assert not [tf for tf in graph.heard["/tf"] if tf.transforms[0].header.stamp == header.stamp]
    until_right_again(graph)


def test_camera_info_of_another_size_is_named(graph: Graph):
    header = graph.header()
    info, found, image = graph.good(header)
    info.width, info.height = 1280, 720
    graph.send(info, found, image)
    graph.expect_diagnosis(
        "/camera_info: camera_info is of a 1280x720 image, the image has 640x480", WARN
    )
    until_right_again(graph)


def until_right_again(graph: Graph) -> None:
    """A camera_info may trail its image: send one, and a good frame once it has arrived."""
    header = graph.header()
    info, _, _ = graph.good(header)
    count = len(graph.heard["/diagnostics"])
    graph.info.publish(info)
    graph.wait(lambda: len(graph.heard["/diagnostics"]) > count, "node is dead")
    graph.see()


def test_images_without_frame_give_no_transforms(graph: Graph):
    header = graph.header()
    header.frame_id = ""
    graph.send(*graph.good(header))
    assert len(graph.result(header).detections) == 2
    graph.expect_diagnosis("/image: images have no frame_id; transforms do not go out", WARN)
    assert not graph.heard["/tf"]
    graph.see()


def spoil_detections(found: Detection2DArray, field: str, value: float) -> Detection2DArray:
    for one in found.detections:
        if field == "x":
            one.bbox.center.position.x = value
        elif field == "size":
            one.bbox.size_x = value
        else:
            one.bbox.center.theta = value
    return found


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("x", 5000.0, "lies outside the 640x480 image"),
        ("x", math.nan, "is not finite"),
        ("size", 0.0, "has a box without area: 0 x"),
        ("size", -5.0, "has a box without area"),
        ("size", math.inf, "is not finite"),
        ("theta", math.nan, "is not finite"),
    ],
)
def test_bad_detection_is_named(graph: Graph, field: str, value: float, cause: str):
    info, found, image = graph.good(graph.header())
    graph.send(info, spoil_detections(found, field, value), image)
    status = graph.expect_diagnosis(cause, WARN)
    assert "(and 1 more)" in status.message
    graph.see()


def test_unknown_object_is_named(graph: Graph):
    info, found, image = graph.good(graph.header())
    for one in found.detections:
        one.results[0].hypothesis.class_id = "elephant"
    graph.send(info, found, image)
    graph.expect_diagnosis("unknown object 'elephant': known are box, card", WARN)
    graph.see()


def test_detections_without_image_are_named(graph: Graph):
    def keep_detecting() -> bool:
        graph.send(None, graph.good(graph.header())[1], None)
        time.sleep(0.05)
        return "detections come, but have no image" in graph.diagnosis()

    graph.wait(keep_detecting, "detections without image are not named")
    graph.see()


def test_detections_of_another_clock_are_named(graph: Graph):
    header = graph.header()
    info, _, image = graph.good(header)
    late = Header(stamp=Time(nanoseconds=round((graph.clock - 3.0) * 1e9)).to_msg())
    graph.send(info, graph.good(late)[1], image)
    graph.expect_diagnosis("stamps apart: the nearest detections are 3.000 s older", WARN)
    graph.see()


@pytest.mark.parametrize("jump", [-50.0, -0.5])
def test_a_clock_that_jumps_back_starts_afresh(graph: Graph, jump: float):
    graph.see()
    graph.see(advance=jump)
    graph.expect_diagnosis(f"stamps jumped back by {-jump:.3f} s", WARN)
    graph.see()


def test_parameters_out_of_range_are_refused(graph: Graph):
    assert graph.set("threshold", 1.5)[0] is False
    assert "out of range" in graph.set("threshold", -1.0)[1]
    assert graph.set("region_source", "nowhere") == (
        False,
        "region_source is 'nowhere': must be one of auto, detections, fixed, whole_image",
    )
    assert "read at configure" in graph.set("objects", ["other"])[1]
    graph.see()


def test_threshold_takes_effect_at_once(graph: Graph):
    before = graph.see().detections[0].results[0].hypothesis.score
    assert before < 1
    assert graph.set("threshold", 1.0) == (True, "")
    header = graph.header()
    graph.send(*graph.good(header))
    assert graph.result(header).detections == []
    assert graph.set("threshold", 0.5) == (True, "")
    graph.see()


def test_fixed_regions(graph: Graph):
    truth = next(one for one in graph.truth if one.object_name == "box")
    region = " ".join(["box", *(f"{side:.1f}" for side in truth.box)])
    assert graph.set("regions", [region, "ghost 1 2 30 40"]) == (True, "")
    assert graph.set("region_source", "fixed") == (True, "")
    header = graph.header(advance=-5)  # forgets what was tracked
    info, _, image = graph.good(header)
    graph.send(info, None, image)
    assert [one.id for one in graph.result(header).detections] == ["box"]
    graph.expect_diagnosis("regions of unknown objects ghost: known are box, card", WARN)
    assert graph.set("region_source", "auto") == (True, "")
    assert graph.set("regions", [""]) == (True, "")
    graph.see()


def test_the_whole_image_is_searched(graph: Graph):
    assert graph.set("region_source", "whole_image") == (True, "")
    try:
        header = graph.header(advance=-50)  # forgets what was tracked
        for _ in range(60):
            info, _, image = graph.good(header)
            graph.send(info, None, image)
            if {"box", "card"} <= {one.id for one in graph.result(header).detections}:
                break
            header = graph.header()
        else:
            pytest.fail("not found in 60 frames")
    finally:
        assert graph.set("region_source", "auto") == (True, "")
    graph.see(advance=-50)


def test_inactive_means_idle(graph: Graph):
    graph.see()
    assert graph.change_state(Transition.TRANSITION_DEACTIVATE)
    assert graph.state == "inactive"
    graph.forget()
    for _ in range(3):
        graph.send(*graph.good(graph.header()))
        time.sleep(0.1)
    assert not graph.heard["objects"]
    assert not graph.heard["box/aligned/image"]
    assert graph.image.get_subscription_count() == 0
    assert graph.change_state(Transition.TRANSITION_ACTIVATE)
    graph.meet()
    graph.see()


def test_all_objects_taught_here_are_looked_for_or_those_of_a_pattern(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    good = graph.node.get_parameter("objects").value
    for folder in map(Path, good):
        shutil.copytree(folder, tmp_path / "stn_ros" / "objects" / folder.name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    graph.reset()
    try:
        assert graph.set("objects", ["ca*"])[0]
        assert graph.change_state(Transition.TRANSITION_CONFIGURE)
        graph.forget()
        (facts,) = graph.wait(lambda: graph.heard["/diagnostics"][:1], "no diagnostics")
        assert {fact.key: fact.value for fact in facts.status[0].values}["objects"] == "card"
        assert graph.change_state(Transition.TRANSITION_CLEANUP)
        assert graph.set("objects", ["no_*"])[0]
        assert not graph.change_state(Transition.TRANSITION_CONFIGURE)
        graph.expect_diagnosis("objects 'no_*': no object matches", ERROR)
        assert graph.set("objects", ["all"])[0]
        graph.start()
        graph.meet()
        graph.see()
    finally:
        graph.reset()
        assert graph.set("objects", good)[0]
        graph.start()
        graph.meet()
    graph.see()


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("parameter", "spoil", "cause"),
    [
        ("objects", lambda folder: flip_a_byte(folder / "reference.png"), "sha256 differs"),
        ("objects", lambda folder: (folder / "reference.png").unlink(), "cannot be read"),
        ("objects", lambda folder: (folder / "object.yaml").unlink(), "no object.yaml"),
        ("model", lambda folder: flip_a_byte(next(folder.glob("*.onnx"))), "sha256 is"),
        ("model", lambda folder: next(folder.glob("*.onnx")).unlink(), "missing"),
        ("model", lambda folder: (folder / "network.yaml").unlink(), "can not be read"),
    ],
)
def test_damaged_folders_are_refused_at_configure(
    graph: Graph, tmp_path: Path, parameter: str, spoil: Callable[[Path], None], cause: str
):
    good = graph.node.get_parameter(parameter).value
    source = Path(good[0]) if parameter == "objects" else models_folder() / "canonicalizer"
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    spoil(copy)
    graph.reset()
    try:
        assert graph.set(parameter, [str(copy)] if parameter == "objects" else str(copy))[0]
        assert not graph.change_state(Transition.TRANSITION_CONFIGURE)
        assert graph.state == "unconfigured"
        status = graph.expect_diagnosis(cause, ERROR)
        assert str(copy) in status.message
    finally:
        assert graph.set(parameter, good)[0]
        graph.start()
    graph.meet()
    graph.see()


@pytest.fixture
def namespaced(tmp_path: Path) -> Iterator[Callable[..., Graph]]:
    graphs = []

    def make(namespace: str, **parameters: object) -> Graph:
        graphs.append(Graph(tmp_path, namespace, **parameters))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()


def test_a_namespace_keeps_frames_apart_and_no_size_means_no_pose(
    namespaced: Callable[..., Graph],
):
    graph = namespaced("left", unsized=["card"], autostart=True)
    assert graph.state == "active"
    graph.meet()
    graph.forget()
    header = graph.header()
    graph.send(*graph.good(header))
    assert [one.id for one in graph.result(header).detections] == ["box"]
    assert {one.child_frame_id for msg in graph.heard["/tf"] for one in msg.transforms} == {
        "left/box",
        "left/box/view",
    }
    view = graph.matching("card/aligned/image", header.stamp)
    info = graph.matching("card/aligned/camera_info", header.stamp)
    assert view.header == info.header
    assert view.header.frame_id == "left/card/view"
    assert not np.any(info.k)


def test_compressed_images(namespaced: Callable[..., Graph]):
    graph = namespaced("jpeg", image_transport="compressed", tf_prefix="wrist")
    graph.start()
    publisher = graph.robot.create_publisher(CompressedImage, "image/compressed", 5)
    data = cv2.imencode(".jpg", graph.frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    for side in (publisher, graph.info, graph.detector):
        graph.wait(side.get_subscription_count, "node does not subscribe")

    def send(content: bytes) -> Header:
        header = graph.header()
        info, found, _ = graph.good(header)
        graph.send(info, found, None)
        publisher.publish(CompressedImage(header=header, format="jpeg", data=content))
        return header

    send(data[:-2000])
    graph.expect_diagnosis("compressed image is truncated", ERROR)
    send(b"no picture")
    graph.expect_diagnosis("compressed image of format 'jpeg' cannot be decoded", ERROR)
    send(data)
    assert len(graph.result(send(data)).detections) == 2


def test_silence_is_explained(namespaced: Callable[..., Graph]):
    """Reliable subscriptions do not hear best-effort cameras; and nobody calibrates."""
    graph = namespaced(
        "right", **{"qos_overrides./right/image.subscription.reliability": "reliable"}
    )
    graph.robot.destroy_publisher(graph.image)
    graph.robot.destroy_publisher(graph.info)
    graph.image = graph.robot.create_publisher(Image, "image", qos_profile_sensor_data)
    graph.start()
    status = graph.expect_diagnosis("nothing on '/right/image': QoS mismatch", ERROR)
    assert "see qos_overrides./right/image.subscription" in status.message
    graph.expect_diagnosis("nothing on '/right/camera_info': nobody publishes it", ERROR)
    graph.robot.destroy_publisher(graph.image)
    # A DDS participant takes one type a topic: the wrong camera is one of its own.
    context = rclpy.Context()
    rclpy.init(context=context)
    stranger = Node("stranger", context=context, namespace="right")
    stranger.create_publisher(CompressedImage, "image", 5)
    graph.expect_diagnosis(
        "it carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image", ERROR
    )
    stranger.destroy_node()
    context.try_shutdown()
    graph.image = graph.robot.create_publisher(Image, "image", 5)
    graph.info = graph.robot.create_publisher(CameraInfo, "camera_info", 5)
    graph.meet()
    graph.see()


def test_two_instances_of_one_object_have_frames_and_topics_of_their_own(
    tmp_path: Path, namespaced: Callable[..., Graph]
):
    alike = {"box": FACES["box"], "twin": FACES["box"]}
    graph = namespaced(
        "pair", faces=alike, objects=[str(tmp_path / "box")], detection_map=["twin=box"]
    )
    second = graph.listen(Image, "box_2/aligned/image")
    graph.start()
    graph.meet()
    graph.wait(lambda: graph.robot.count_publishers("box_2/aligned/image"), "no second view")
    graph.forget()
    header = graph.header()
    graph.send(*graph.good(header))
    found = graph.result(header).detections
    assert sorted(one.id for one in found) == ["box", "box_2"]
    assert {one.results[0].hypothesis.class_id for one in found} == {"box"}
    depths = sorted(one.results[0].pose.pose.position.z for one in found)
    np.testing.assert_allclose(depths, sorted(truth.t[2] for truth in graph.truth), rtol=0.02)
    view = graph.matching("box_2/aligned/image", header.stamp)
    assert view.header.frame_id == "pair/box_2/view"
    graph.robot.destroy_subscription(second)


def test_distorted_images_give_the_same_poses(namespaced: Callable[..., Graph]):
    graph = namespaced("raw")
    graph.start()
    graph.meet()
    ideal = {one.id: one.results[0].pose.pose.position for one in graph.see().detections}
    K = graph.world.camera.K
    lens = CameraModel(SIZE, K, np.array([-0.2, 0.05, 0.001, -0.001, 0.0]))
    grid = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), axis=-1).astype(float)
    source = cv2.undistortPoints(grid.reshape(-1, 1, 2), K, lens.D[:5], P=K)
    source = source.reshape(grid.shape).astype(np.float32)
    frame = cv2.remap(graph.frame, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    header = graph.header(advance=-20)
    info, found, _ = graph.good(header)
    info.d = lens.D[:5].tolist()
    graph.info.publish(info)
    time.sleep(0.3)
    graph.send(info, found, messages.image_message(frame, header))
    raw = {one.id: one.results[0].pose.pose.position for one in graph.result(header).detections}
    assert raw.keys() == ideal.keys()
    for name, at in raw.items():
        there = ideal[name]
        off = np.linalg.norm([at.x - there.x, at.y - there.y, at.z - there.z])
        assert off < 0.01 * np.linalg.norm([there.x, there.y, there.z])
