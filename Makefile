# Everything a new user needs: make demo. Everything a change needs: make lint test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ANGIOGRAM ?=
# MONAI Label needs older packages than the rest: an environment of its own.
LABEL_VENV ?= .venv-label
LABEL_BIN := $(LABEL_VENV)/bin
STUDIES ?= label_output/images
PORT ?= 8000
# Threads that spin while they wait slow training down many times where the processor is shared.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo label test test-slow test-label lint format benchmark-small clean

demo: $(VENV)/.installed
	$(BIN)/monai-lora-sam demo --out demo_output $(if $(ANGIOGRAM),--angiogram "$(ANGIOGRAM)")

# Ten synthetic angiograms unless STUDIES names a folder of yours. The server listens on this machine alone.
label: $(LABEL_VENV)/.installed-label $(if $(filter label_output/images,$(STUDIES)),label_output/.drawn)
	@echo "Open http://127.0.0.1:$(PORT)/angiograms/ (Ctrl-C ends the server)"
	$(LABEL_BIN)/python -m monailabel.main start_server --app plugins/monailabel --studies "$(STUDIES)" \
		--host 127.0.0.1 --port $(PORT)

label_output/.drawn: | $(LABEL_VENV)/.installed-label
	$(LABEL_BIN)/monai-lora-sam prepare phantom --out label_output --count 10
	@touch $@

# Side by side, one thread each: faster than one after another with all threads.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" -n auto --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -m slow

# In MONAI Label's environment, with its older pydicom, in which packages of the extra `dev` are missing.
test-label: $(LABEL_VENV)/.installed-label-test
	env -u CI OMP_NUM_THREADS=1 $(LABEL_BIN)/python -m pytest -q -m "not slow" tests/plugins/monailabel tests/images \
		tests/coronary/images tests/coronary/pipeline

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Few phantoms, small, for little more than a minute a cell: it shows that the tool works, and says nothing about the methods.
benchmark-small: $(VENV)/.installed-dev
	$(BIN)/monai-lora-sam prepare phantom --out benchmark_output/phantoms --count 24 --validation-fraction 0.34
	$(BIN)/python scripts/benchmark.py benchmark_output/phantoms --out benchmark_output --minutes 1.2 --image-size 64 \
		--size 4 --size all --method lora --method unet --method nnunet --method nnunet_resenc_m

$(BIN)/python:
	@$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else 'Python 3.11 or newer is needed, found %d.%d: set PYTHON=...' % v[:2])"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -e ".[dev]"
	@touch $@

$(LABEL_BIN)/python:
	$(PYTHON) -m venv $(LABEL_VENV)

$(LABEL_VENV)/.installed-label: setup.cfg pyproject.toml | $(LABEL_BIN)/python
	$(LABEL_BIN)/python -m pip install -e ".[label]"
	@touch $@

$(LABEL_VENV)/.installed-label-test: $(LABEL_VENV)/.installed-label
	$(LABEL_BIN)/python -m pip install -e ".[label-test]"
	@touch $@

clean:
	rm -rf $(VENV) $(LABEL_VENV) label_output build dist *.egg-info demo_output benchmark_output .pytest_cache .mypy_cache .ruff_cache
