# `make demo`: the default experiment, from nothing to its report.  `make test`: every check of the project.
# Both set up all they need in .venv; PYTHON may name another Python (the versions are pinned for 3.11), CORES how many jobs run at once.

ifneq ($(words $(CURDIR)),1)
$(error '$(CURDIR)' has a space, and Snakemake cannot start its jobs with a Python below such a folder: move this one)
endif

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
RESULTS := results/wikipedia

.PHONY: demo test lint clean

demo: .venv/workflow
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/snakemake --report $(RESULTS)/report.html
	@echo; cat $(RESULTS)/tables/effectiveness.md
	@echo "Plot: $(RESULTS)/plots/effectiveness.svg"
	@echo "Report, to open in a browser: $(RESULTS)/report.html"

test: .venv/tests lint data
	$(BIN)/pytest tests

lint: .venv/tests
	$(BIN)/ruff check multistage scripts tests benchmarks
	$(BIN)/ruff format --check multistage scripts tests benchmarks
	$(BIN)/mypy multistage scripts
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

# The packages that the workflow tests serve again from loopback.
.PHONY: data
data: .venv/workflow
	$(BIN)/snakemake --cores $(CORES) --until fetch_package

.venv/workflow: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/tests: .venv/workflow requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf results .snakemake
