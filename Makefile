PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install run test test-fast test-long lint clean

run: install
	$(BIN)/gantune run search_spaces/lr_beta.yaml

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two tests at a time; those marked `alone` have the machine to themselves. Two processes with a
# thread each for two cores, and Ray's workers no nicer than all else: beside a busy neighbour they
# would stand still. `tests/test_parts.py` knows that no test is lost between the parts.
# And every process is to find gantune compiled, also where Python is told to keep nothing.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
TWO := OMP_NUM_THREADS=1 RAY_worker_niceness=0 $(PYTEST) -n 2 --dist

test: test-fast
	$(TWO) worksteal -m "slow and not long and not gpu and not alone"
	$(PYTEST) -m "alone and not long and not gpu"

test-fast: install
	$(TWO) loadfile -m "not slow and not long and not gpu and not alone"

# What each test took, and each round of a kill loop, stays in build/.
test-long: install
	$(TWO) worksteal -m "long and not alone" -v --junitxml build/test-long.xml
	$(PYTEST) -m "long and alone" -v --junitxml build/test-long-alone.xml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
