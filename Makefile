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

# Tests that only compute run on two processes; others start Ray, and want the machine for
# themselves.
COMPUTE := tests/analysis tests/diagnosis tests/engine tests/metrics tests/report \
	tests/test_disk.py tests/test_sensitivity.py \
	$(addprefix tests/tuning/test_,agreement.py confirm.py replay.py sampler.py store.py)
SLOW := "slow and not long and not gpu"

test: test-fast
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m $(SLOW) $(COMPUTE)
	$(BIN)/python -m pytest -m $(SLOW) $(COMPUTE:%=--ignore=%)

test-fast: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not long and not gpu"

test-long: install
	$(BIN)/python -m pytest -m "long" -v

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
