"""tools/check_machine.sh: names the Python to use, or everything that is missing."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "check_machine.sh"
BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and BASH and platform.machine() == "x86_64"),
    reason="only where `make setup` works: x86-64 with bash, in the source tree",
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A PATH with nothing but what the script itself calls; tools are added by the tests."""
    for tool in ("uname", "df", "tail"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX", "PYTHON"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def tool(folder: Path, name: str, script: str = "exit 0"):
    (folder / name).write_text(f"#!{BASH}\n{script}\n")
    (folder / name).chmod(0o755)


def check(**variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BASH, SCRIPT], capture_output=True, text=True, env={**os.environ, **variables}
    )


def python(machine: Path, version: str, lacks: str = ""):
    """An interpreter that believes itself of this version, with headers and venv unless lacking."""
    headers = machine / "include"
    headers.mkdir(exist_ok=True)
    if lacks != "headers":
        (headers / "Python.h").touch()
    belief = machine / "belief.py"
    belief.write_text(
        "import sys, sysconfig\n"
        f"sys.version_info = {tuple(map(int, version.split('.')))}\n"
        f"sys.executable = {str(machine / 'python3')!r}\n"
        f"sysconfig.get_path = lambda _: {str(headers)!r}\n"
        + ("sys.modules['venv'] = None\n" if lacks == "venv" else "")
        + "exec(sys.argv[2])\n"
    )
    tool(
        machine,
        "python3",
        f'[[ "$1" == --version ]] && echo Python {version} || exec {sys.executable} {belief} "$@"',
    )


def test_a_complete_machine_yields_its_python(machine):
    python(machine, "3.12.4")
    tool(machine, "cc")
    tool(machine, "c++")
    result = check()
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(machine / "python3")


def test_everything_missing_is_named_at_once(machine):
    python(machine, "3.9.2")
    result = check()
    assert result.returncode == 1
    assert "3.10, 3.11, 3.12 or 3.13 (found: Python 3.9.2)" in result.stderr
    assert "apt install build-essential" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("lacks", "package"), [("venv", "python3.11-venv"), ("headers", "python3.11-dev")]
)
def test_parts_of_python_are_named_by_their_package(machine, lacks, package):
    python(machine, "3.11.2", lacks)
    tool(machine, "cc")
    tool(machine, "c++")
    result = check()
    assert result.returncode == 1
    assert f"apt install {package}" in result.stderr
    assert "build-essential" not in result.stderr


def test_a_compiler_may_be_named(machine):
    python(machine, "3.11.2")
    tool(machine, "clang")
    assert check(CC="clang", CXX="clang").returncode == 0
    assert "'cc' is not on the PATH" in check().stderr


def test_another_architecture_is_told(machine):
    (machine / "uname").unlink()
    tool(machine, "uname", 'case "$1" in -s) echo Linux ;; -m) echo aarch64 ;; esac')
    assert "Linux on x86-64 (this is Linux on aarch64)" in check().stderr
