"""Importing launch leaves the rest of the suite as it was."""

import logging
from importlib.util import find_spec

if find_spec("launch_ros") is not None:
    import launch.logging  # noqa: F401

    # launch cuts loggers that are made after its import off the root's: caplog hears nothing.
    logging.setLoggerClass(logging.Logger)
