"""The command line: help that teaches, commands imported only when asked for, errors in a line."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from stn_ros.cli import COMMANDS, main


def test_help_names_every_command_and_the_way_to_a_pose(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    assert "stn-ros teach box.jpg" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    try:
        description = importlib.import_module(COMMANDS[name][0]).DESCRIPTION
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert description.splitlines()[0] in capsys.readouterr().out


def test_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom stn_ros.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'cv2' not in sys.modules and 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_missing_package_is_named_with_the_way_to_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    # None in sys.modules makes the import fail as if it were not installed.
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.delitem(sys.modules, "stn_ros.nodes.replay", raising=False)
    assert main(["replay", "folder"]) == 2
    assert "stn-ros replay: ROS 2 (source" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["teach"]])
def test_wrong_use_ends_with_usage(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: stn-ros" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.jpg", "b.jpg", "--name", "x"],
        ["a.jpg", "--name", "x", "b.jpg"],
        ["--name", "x", "a.jpg"],
    ],
)
def test_files_may_stand_on_either_side_of_options(
    arguments: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert main(["teach", *arguments]) == 2
    assert "photo a.jpg: no such file" in capsys.readouterr().err


def test_errors_come_as_a_line_or_with_their_traceback(capsys: pytest.CaptureFixture) -> None:
    arguments = ["teach", "absent.jpg", "--name", "x"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("stn-ros teach: ")
    with pytest.raises(ValueError, match=r"absent\.jpg"):
        main(["--traceback", *arguments])
