"""Build of the stn_ros package, the same under colcon and under pip; setup.cfg says what it is."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "stn_ros"


def tree(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below `folder`, to be installed under share/stn_ros with its sub-folders."""
    folders: dict[str, list[str]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            folders.setdefault(f"share/{NAME}/{path.parent.as_posix()}", []).append(str(path))
    return list(folders.items())


setup(
    python_requires=">=3.10",  # colcon cannot read this one from setup.cfg
    zip_safe=False,
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    # OpenCV is required too, but not here: ROS 2 brings the system's, which pip does not see, and
    # a second one beside it would clash with cv_bridge. requirements/run.txt names the wheel.
    install_requires=[
        "numpy>=1.21",
        "onnxruntime>=1.16",
        "pyyaml",
        "tqdm",
    ],
    extras_require={
        "test": ["pytest", "hypothesis", "rosbags"],
        "train": [
            "torch>=2.4",
            "lightning>=2.5",
            "tensorboard",
            "onnx",
            "scikit-image",
            "scikit-learn",
            "scipy",
            "matplotlib",
        ],
        "sim": ["scikit-image", "scikit-learn", "matplotlib"],
        "bags": ["rosbags"],
        "bench": ["pupil-apriltags>=1.0.4"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        # Where `ros2 run` and `ros2 launch` look for executables, in either kind of install.
        (f"lib/{NAME}", ["scripts/canonicalizer", "scripts/player", "scripts/simulated_camera"]),
        *tree("launch"),
        *tree("config"),
        *tree("models"),
    ],
    entry_points={"console_scripts": ["stn-ros = stn_ros.cli:main"]},
)
