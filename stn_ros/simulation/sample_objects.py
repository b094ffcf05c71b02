"""The sample objects shipped in models/objects: faces drawn by this project.

`python -m stn_ros.simulation.sample_objects` writes them again, the same to the last pixel. Their
seeds are from `SEEDS`, drawn with split "held_out": no network was trained on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stn_ros.runtime.object_model import ObjectModel
from stn_ros.runtime.paths import models_folder
from stn_ros.synthesis import artwork

SEEDS = range(9000, 9100)
LONG_SIDE = 256

# name -> (style, seed, (width, height) in metres)
SAMPLES: dict[str, tuple[str, int, tuple[float, float]]] = {
    "tea_box": ("product_box", 9001, (0.192, 0.123)),
    "board_game": ("board_game", 9005, (0.160, 0.160)),
    "novel": ("book_cover", 9000, (0.130, 0.186)),
    "city_map": ("street_map", 9004, (0.190, 0.141)),
}


def sample_object(name: str) -> ObjectModel:
    """Draw one of `SAMPLES`.

    Raises:
        ValueError: unknown name.
    """
    if name not in SAMPLES:
        raise ValueError(f"sample {name!r} is unknown; there are {', '.join(SAMPLES)}")
    style, seed, size_m = SAMPLES[name]
    scale = LONG_SIDE / max(size_m)
    size = (round(size_m[0] * scale), round(size_m[1] * scale))
    return ObjectModel(name, artwork.draw(seed, size, style, "held_out"), size_m)


def main() -> None:
    """Write every sample object below a folder."""
    parser = argparse.ArgumentParser(description="Draw the sample objects and write them.")
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where to put them (default: models/objects)"
    )
    folder = parser.parse_args().folder or models_folder() / "objects"
    for name in SAMPLES:
        sample_object(name).save(folder / name)
        print(folder / name)


if __name__ == "__main__":
    main()
