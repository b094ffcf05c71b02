"""The canonicalizer node's parameters: declared, described, checked, some changeable while it runs.

`Settings` is the one list of them; `config/perception.yaml` holds the same with their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from stn_ros.nodes.declaration import converted, declare, misspelt
from stn_ros.runtime.region_source import SHARE

_FRAME_PREFIX = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*|")


def _parameter(
    default: Any,  # noqa: ANN401
    description: str,
    *,
    live: bool = False,
    span: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
) -> Any:  # noqa: ANN401
    """One parameter; `live` ones may change while the node is configured."""
    return field(
        default=default,
        metadata={"description": description, "live": live, "span": span, "choices": choices},
    )


@dataclass(frozen=True)
class Settings:
    """A consistent set of parameter values. Raises ValueError naming the parameter that is wrong.

    An empty text in a list counts as nothing: ROS cannot tell the type of an empty list.
    """

    objects: tuple[str, ...] = _parameter(
        (),
        "Objects to look for: names (taught here, or shipped samples), object folders, patterns of "
        "either (box_*, ~/objects/*), or all: all that are taught here, else the samples.",
    )
    model: str = _parameter("", "Folder of the network; empty for the shipped one.")
    threads: int = _parameter(
        1, "Threads the network runs on; 0 lets the engine choose.", span=(0, 64)
    )
    image_transport: str = _parameter(
        "raw",
        "How images come: 'raw' on <image>, 'compressed' on <image>/compressed.",
        choices=("raw", "compressed"),
    )
    rectified: bool = _parameter(
        False, "The images are rectified: use P of camera_info, not K and D."
    )
    region_source: str = _parameter(
        "auto",
        "Where objects are looked for: 'detections' of that topic, 'fixed' regions, the "
        "'whole_image', or 'auto': detections while a detector speaks, else regions if given, "
        "else the whole image.",
        live=True,
        choices=("auto", "detections", "fixed", "whole_image"),
    )
    regions: tuple[str, ...] = _parameter(
        (),
        "Fixed regions, each 'OBJECT LEFT TOP WIDTH HEIGHT' in pixels of the raw image.",
        live=True,
    )
    detection_map: tuple[str, ...] = _parameter(
        (),
        "Objects a detector's class stands for, each 'CLASS=OBJECT'; a class may come more "
        "than once. '*' as the object is any of them. A class named like an object needs none.",
        live=True,
    )
    detection_min_score: float = _parameter(
        0.0, "Detections scored lower are not looked at.", live=True, span=(0.0, 1.0)
    )
    detection_slop: float = _parameter(
        0.2,
        "Longest time in seconds by which an image may be younger than the detections used "
        "on it, where those of its own stamp are missing.",
        live=True,
        span=(0.0, 5.0),
    )
    search_share: float = _parameter(
        SHARE,
        "Of the time that following leaves, what searching the whole image may take while "
        "something is followed.",
        live=True,
        span=(0.01, 1.0),
    )
    threshold: float = _parameter(
        0.5, "Confidence an alignment must have to be published.", live=True, span=(0.0, 1.0)
    )
    tf_prefix: str = _parameter(
        "auto",
        "Put before the object's TF frames, with a '/' between, so that two cameras never "
        "share a frame; 'auto' for the node's namespace, empty for none.",
    )
    publish_tf: bool = _parameter(
        True, "Publish the transforms camera -> object -> view on /tf.", live=True
    )
    diagnostics_period: float = _parameter(
        1.0, "Seconds between two diagnostic messages.", span=(0.1, 60.0)
    )
    autostart: bool = _parameter(
        False, "Configure and activate at start, without waiting to be told."
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            span, choices = entry.metadata["span"], entry.metadata["choices"]
            if span and not span[0] <= value <= span[1]:
                raise ValueError(
                    f"{entry.name} is {value:g}: must lie within {span[0]:g} and {span[1]:g}"
                )
            if choices and value not in choices:
                raise ValueError(f"{entry.name} is '{value}': must be one of {', '.join(choices)}")
        if not _FRAME_PREFIX.fullmatch(self.tf_prefix):
            raise ValueError(
                f"tf_prefix is '{self.tf_prefix}': must be words of letters, digits and "
                "underscores with '/' between them"
            )
        _ = self.classes, self.fixed_regions  # raise if they do not parse

    @property
    def classes(self) -> dict[str, list[str]]:
        """Object names by detector class, from `detection_map`."""
        classes: dict[str, list[str]] = {}
        for entry in self.detection_map:
            class_id, equals, name = entry.rpartition("=")
            if not (class_id and equals and name):
                raise ValueError(f"detection_map has '{entry}': must be 'CLASS=OBJECT'")
            classes.setdefault(class_id.strip(), []).append(name.strip())
        return classes

    @property
    def fixed_regions(self) -> list[tuple[str, float, float, float, float]]:
        """(object, left, top, width, height) of every entry of `regions`, in pixels."""
        regions = []
        for entry in self.regions:
            try:
                name, *box = entry.split()
                left, top, width, height = (float(number) for number in box)
            except ValueError:
                raise ValueError(
                    f"regions has '{entry}': must be 'OBJECT LEFT TOP WIDTH HEIGHT'"
                ) from None
            if not (width > 0 and height > 0 and max(map(abs, (left, top, width, height))) < 1e6):
                raise ValueError(f"regions has '{entry}': its box has no area in any image")
            regions.append((name, left, top, width, height))
        return regions


class Parameters:
    """Declares `Settings` on a node and keeps the snapshot `settings` up to date.

    A change that is out of range, of another kind, does not parse, or concerns a parameter that is
    read at configure while `configured()` is true, is refused with the reason. A parameter given
    at start that is nearly named like one of these is warned of: ROS itself would ignore it.
    Raises what `declare` and `Settings` raise when a value given at start is refused.
    """

    def __init__(self, node: Node, configured: Callable[[], bool]) -> None:
        self._configured = configured
        self.settings = Settings(
            **{
                entry.name: declare(node, entry.name, entry.default, _descriptor(entry))
                for entry in fields(Settings)
            }
        )
        names = [entry.name for entry in fields(Settings)]
        for name, meant in misspelt(list(node._parameter_overrides), names).items():
            node.get_logger().warning(f"parameter '{name}' is unknown: is '{meant}' meant?")
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        ours = {entry.name: entry for entry in fields(Settings)}
        parameters = [parameter for parameter in parameters if parameter.name in ours]
        try:
            for parameter in parameters:
                if parameter.type_ == Parameter.Type.NOT_SET:
                    raise ValueError(f"{parameter.name} cannot be deleted")
            settings = replace(
                self.settings,
                **{
                    parameter.name: converted(
                        parameter.name, parameter.value, ours[parameter.name].default
                    )
                    for parameter in parameters
                },
            )
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for parameter in parameters:
            name = parameter.name
            if (
                self._configured()
                and not ours[name].metadata["live"]
                and getattr(settings, name) != getattr(self.settings, name)
            ):
                return SetParametersResult(
                    successful=False,
                    reason=f"{name} is read at configure: deactivate and clean up the node first",
                )
        self.settings = settings
        return SetParametersResult(successful=True)


def _descriptor(entry: Field[Any]) -> ParameterDescriptor:
    metadata = entry.metadata
    descriptor = ParameterDescriptor(description=metadata["description"])
    if metadata["span"]:
        low, high = metadata["span"]
        if isinstance(entry.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
    constraints = []
    if metadata["choices"]:
        constraints.append(f"one of {', '.join(metadata['choices'])}")
    if not metadata["live"]:
        constraints.append("read at configure")
    descriptor.additional_constraints = "; ".join(constraints)
    return descriptor
