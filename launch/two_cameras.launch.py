"""Two cameras, each with a node `canonicalizer` of its own in a namespace of its own.

    ros2 launch stn_ros two_cameras.launch.py objects:=my_box \
        left:=/left/color right:=/right/color
    ros2 launch stn_ros two_cameras.launch.py sim:=true

Topics of a camera are NAME/image_raw and NAME/camera_info. Copy it for other topics, or parameters
that differ: each include has a scope of its own, so that what the first is given does not reach the
second.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SIDES = ("left", "right")


def cameras(context: LaunchContext) -> list[GroupAction]:
    """One scoped include of perception.launch.py for each side."""
    file = Path(get_package_share_directory("stn_ros")) / "launch" / "perception.launch.py"
    groups = []
    for side in SIDES:
        camera = LaunchConfiguration(side).perform(context)
        given = {
            "namespace": side,
            "image": f"{camera}/image_raw",
            "camera_info": f"{camera}/camera_info",
            "objects": LaunchConfiguration("objects"),
            "sim": LaunchConfiguration("sim"),
        }
        include = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(file)), launch_arguments=given.items()
        )
        groups.append(GroupAction([include], scoped=True))
    return groups


def generate_launch_description() -> LaunchDescription:
    """Read by `ros2 launch`."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    side, default_value=f"/{side}", description=f"Topics of the {side} camera."
                )
                for side in SIDES
            ),
            DeclareLaunchArgument(
                "objects",
                default_value="",
                description="Objects to look for, a name or several, a,b.",
            ),
            DeclareLaunchArgument(
                "sim",
                default_value="false",
                description="Start simulated cameras on these topics.",
                choices=["true", "false", "True", "False"],
            ),
            OpaqueFunction(function=cameras),
        ]
    )
