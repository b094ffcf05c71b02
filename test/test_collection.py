"""The suite's own guard: no test file is left out in silence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A package with this one's settings and guard, and two folders of one test each."""
    for name in ("pyproject.toml", "test/conftest.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("one", "two"):
        (tmp_path / "test" / folder).mkdir()
        (tmp_path / "test" / folder / f"test_{folder}.py").write_text("def test_it(): pass\n")
    return tmp_path


def run(suite: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=suite, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{ROOT}:{suite}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


def test_all_files_are_counted(suite: Path):
    ended = run(suite)
    assert "2 of 2 test files collected" in ended.stdout, ended.stdout + ended.stderr
    assert ended.returncode == 0


def test_a_file_that_skips_itself_is_named_with_the_reason(suite: Path):
    (suite / "test" / "one" / "test_one.py").write_text(
        "import pytest\npytest.importorskip('no_such_package', reason='no_such_package lacks')\n"
    )
    ended = run(suite)
    assert "1 of 2 test files collected" in ended.stdout
    assert "left out: test/one/test_one.py: no_such_package lacks" in ended.stdout
    assert ended.returncode == 0


def test_a_folder_that_a_plugin_leaves_out_fails_the_run(suite: Path):
    """As launch_testing does: an import while it collects, and the skip ends the folder."""
    (suite / "eager.py").write_text(
        "import pytest\n"
        "def pytest_pycollect_makemodule(module_path, parent):\n"
        "    if module_path.name == 'test_one.py':\n"
        "        pytest.skip('as the module says', allow_module_level=True)\n"
    )
    ended = run(suite, "-p", "eager")
    assert ended.returncode == 4
    assert "1 of 2 test files were neither collected nor skipped by themselves" in ended.stderr
    assert "test/one/test_one.py" in ended.stderr
    assert run(suite, "-p", "eager", "test/two").returncode == 0  # a part was asked for


def test_the_plugins_of_a_full_ros_are_kept_out(request: pytest.FixtureRequest):
    plugins = request.config.pluginmanager
    assert plugins.is_blocked("launch_testing")
    assert plugins.is_blocked("launch_ros")
    assert not plugins.hasplugin("launch_testing")
