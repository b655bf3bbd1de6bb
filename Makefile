PYTHON ?= python3
BIN := .venv/bin
MNIST := outputs/published/mnist_simple_cnn_momentum/batch_size=256,sparsity=0/replicate=1

.DEFAULT_GOAL := help
.PHONY: help demo reproduce test faults check clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

demo: .venv.ready  ## a sweep of the bundled digits: 3 batch sizes x 2 sparsities x 16 trials, and its table of K*
	$(BIN)/dps -m workload=digits_simple_cnn_momentum batch_size=4,16,64 sparsity=0,0.9 hydra.sweeper.trials=16

reproduce: .venv.ready  ## train published studies again, in minutes, and compare; DATA=FOLDER adds one of MNIST, which lies there
	$(BIN)/dps-reproduce outputs/published/digits_simple_cnn_momentum/*/replicate=1
	$(if $(DATA),$(BIN)/dps-reproduce $(MNIST) data.root=$(DATA))

test: .venv.ready  ## the tests, but those marked slow or gpu
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

faults: .venv.ready  ## kills, damaged files, wrong input: what was tried and what was survived, in hours
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev,joblib,submitit]'
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/pytest -p faults -m fault

check: .venv.ready  ## ruff, mypy, and imports that run downwards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove the virtual environment and caches; outputs/ stays
	rm -rf .venv .venv.ready .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'  # compiling all of torch would take a minute
	touch $@
