"""Parameters of a node, declared so that what a user writes is taken for what is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node

_NEEDED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text, in quotes",
    list: "a list of numbers",
    tuple: "a text or a list of texts",
}


def converted(name: str, value: object, default: object) -> Any:  # noqa: ANN401
    """A parameter's value as the type of its default; a tuple holds texts, a list numbers.

    YAML's 1 is taken for 1.0 and its 2.0 for 2, one text for a list of one, and any empty list, or
    None, for an empty one: ROS loses the type of that. Empty texts in a list are left out.

    Raises ValueError naming the parameter where the value is of another kind.
    """
    kind = type(default)
    if kind is tuple:
        texts = [value] if type(value) is str else [] if value is None else value
        if isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts):
            return tuple(text for text in texts if text)
    elif kind is list:
        if isinstance(value, Sequence) and all(type(number) in (int, float) for number in value):
            return [float(number) for number in value]
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int:
        return float(value)
    elif kind is int and type(value) is float and value.is_integer():
        return int(value)
    shown = "not set" if value is None else f"{value!r}"
    raise ValueError(f"{name} is {shown}: must be {_NEEDED[kind]}")


def declare(node: Node, name: str, default: object, descriptor: ParameterDescriptor) -> Any:  # noqa: ANN401
    """Declare a parameter whose type is checked by `converted`; returns its value at start.

    Raises ValueError naming the parameter where its value is of another kind or out of range.
    """
    descriptor.dynamic_typing = True  # else rclpy refuses 1 where it expects 1.0
    shown = [*default] or [""] if isinstance(default, tuple) else default
    try:
        given: object = node.declare_parameter(name, shown, descriptor).value
    except InvalidParameterValueException as error:  # a range of the descriptor
        raise ValueError(str(error)) from None
    value = converted(name, given, default)
    for span in (*descriptor.floating_point_range, *descriptor.integer_range):
        if not span.from_value <= value <= span.to_value:  # rclpy let pass a value of another type
            raise ValueError(
                f"{name} is {value:g}: must lie within {span.from_value:g} and {span.to_value:g}"
            )
    return value


def misspelt(given: Sequence[str], known: Sequence[str]) -> Mapping[str, str]:
    """By name given that is not known: the known name it looks like, if there is one."""
    nearest = {name: get_close_matches(name, known, 1, 0.85) for name in given if name not in known}
    return {name: matches[0] for name, matches in nearest.items() if matches}
