# Everything for a machine without ROS 2: `make demo`, `make test`. Under colcon none of it is needed.
SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar on --no-compile

# The ROS of .venv, whatever ROS this shell has sourced.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE ROS_DISTRO RMW_IMPLEMENTATION
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
export PYTHONNOUSERSITE := 1
# Modules are compiled when first imported (all at once took 20 s of the set-up), and kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-test demo test test-slow lint clean
.DELETE_ON_ERROR:

setup: $(VENV)/.links

setup-test: setup $(VENV)/.test

demo: setup
	$(BIN)/stn-ros demo

# Side by side on the cores that this process may use, in an order that is drawn anew: the seed is
# said at the head, and `make test PYTEST_ARGS="--randomly-seed=..."` repeats it.
pytest := $(BIN)/python -m pytest -n auto --dist worksteal --durations 15

test: setup-test
	$(pytest) -m "not slow" $(PYTEST_ARGS)

test-slow: setup-test
	$(pytest) -m slow $(PYTEST_ARGS)

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build install log out *.egg-info

# Each stamp is a finished step of the set-up; only what changed is done again.
$(VENV)/.created:
	@echo "== 1/4 Python environment in $(VENV)"
	@python=$$(tools/check_machine.sh) && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt $(VENV)/.created
	@echo "== 2/4 ROS 2 and the runtime's packages (about 300 MB to download, 1 GB on disk)"
	$(PIP) -r requirements/run.txt
	@touch $@

interfaces := $(wildcard interfaces/*.cmake interfaces/*/CMakeLists.txt interfaces/*/*.toml \
  interfaces/*/package.xml interfaces/*/msg/*.msg)
$(VENV)/.interfaces: $(interfaces) $(VENV)/.run
	@echo "== 3/4 Message packages that no wheel provides (compiles for about a minute)"
	$(PIP) --no-build-isolation --no-deps --force-reinstall \
	  ./interfaces/tf2_msgs ./interfaces/vision_msgs
	@touch $@

$(VENV)/.package: setup.py setup.cfg pyproject.toml $(VENV)/.interfaces
	@echo "== 4/4 stn_ros itself"
	$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

# An editable install leaves out data_files. Links to each file stand in, as under
# `colcon build --symlink-install`: `ros2 launch` does not look into linked folders.
share := $(VENV)/share/stn_ros
shared := $(shell find $(wildcard launch config models scripts) -type f)
$(VENV)/.links: Makefile $(shared) $(VENV)/.package
	@rm -rf $(share) $(VENV)/lib/stn_ros && mkdir -p $(share) $(VENV)/lib/stn_ros
	@cp -rs $(addprefix $(CURDIR)/,package.xml $(wildcard launch config models)) $(share)
	@cp -s $(CURDIR)/scripts/* $(VENV)/lib/stn_ros
	@cp -sf $(CURDIR)/resource/stn_ros $(VENV)/share/ament_index/resource_index/packages
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	@echo "== What tests and training need (PyTorch among it)"
	$(PIP) -r requirements/test.txt
	@touch $@
