# Everything here sets up .venv by itself; the second time it installs nothing.
#   make book                 the site, in _build/html
#   make book RECORDED=no     compute also what has been recorded (hours)
#   make book STRICT=yes      warnings are errors
#   make book PYTHON=python3.12
#   make slides CHAPTER=multistage

PYTHON ?= python3
RECORDED ?= yes
STRICT ?= no
# PyTorch decides the numbers, so `make lock` raises it only when told to.
TORCH ?= $(shell sed -n 's/^torch==//p' requirements.txt)

BIN := .venv/bin
READY := .venv/.ready
TEACH := .venv/.teach
SUBMISSIONS ?=
MARKS ?=
SEED ?= 0
CELL_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help book test serve slides assignments grade bench bounds lock clean

help:          ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(READY) ## execute the chapters and build the site into _build/html
	@$(BIN)/specbias build $(if $(filter no,$(RECORDED)),--no-recorded) $(if $(filter yes,$(STRICT)),--strict)

test: $(TEACH) ## run every test
	@$(BIN)/python -m pytest -q

serve: $(READY) ## show the site in a browser, building it first if there is none
	@test -f _build/html/index.html || $(MAKE) book
	@$(BIN)/specbias serve

slides: $(READY) ## make slides of every chapter into _build/slides
	@$(BIN)/specbias slides $(CHAPTER)

assignments: $(TEACH) ## the assignments' notebooks for students, and an archive of each, in _build/assignments
	@$(BIN)/specbias assignments

grade: $(TEACH) ## grade the notebooks below SUBMISSIONS=folder [MARKS=answers.csv SEED=0 CELL_SECONDS=60] (assignments/README.md)
	@test -n "$(SUBMISSIONS)" || { echo "Which folder? make grade SUBMISSIONS=folder"; exit 2; }
	@$(BIN)/specbias grade "$(SUBMISSIONS)" --seed "$(SEED)" --cell-seconds "$(CELL_SECONDS)" $(if $(MARKS),--marks "$(MARKS)")

bench: $(READY) ## time the library against its peers (benchmarks/README.md)
	@set -e; for question in benchmarks/[!_]*.py; do echo "== $$question"; $(BIN)/python $$question; done

bounds: $(READY) ## the book and the recorded runs with the lowest and newest versions that are allowed
	@set -e; mkdir -p _build; $(BIN)/python tests/lowest.py > _build/lowest.txt; for which in lowest newest; do \
	  echo "== $$which versions"; rm -rf _build/bounds; $(BIN)/python -m venv _build/bounds; \
	  _build/bounds/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[book,test]' \
	    $$(test $$which = newest || echo '--constraint _build/lowest.txt'); \
	  _build/bounds/bin/specbias verify || echo "(another compiler may round otherwise: verdicts decide)"; \
	  _build/bounds/bin/specbias build --strict; done; rm -rf _build/bounds

lock: $(READY) ## renew the exact versions of requirements.txt within the bounds of pyproject.toml
	@rm -rf _build/lock && $(BIN)/python -m venv _build/lock
	@_build/lock/bin/python -m pip install --quiet --editable '.[book,test]' 'torch==$(TORCH)'
	@_build/lock/bin/python -m pip check
	@_build/lock/bin/python -m pip freeze --exclude-editable \
	  | sed -E 's/\+(cpu|cu[0-9]+)$$//' | grep -viE '^(nvidia|cuda|triton)' > _build/lock/requirements.txt
	@{ echo '# Made by `make lock` from pyproject.toml; the exact versions that the book is built and tested with.'; \
	  cat _build/lock/requirements.txt; echo '-e .'; } > requirements.txt
	@_build/lock/bin/python -m pip install --quiet --requirement requirements.txt '.[teach]'
	@{ echo '# Made by `make lock` from pyproject.toml: what assignments and slides need beyond requirements.txt.'; \
	  echo '-r requirements.txt'; _build/lock/bin/python -m pip freeze --exclude-editable \
	  | sed -E 's/\+(cpu|cu[0-9]+)$$//' | grep -viE '^(nvidia|cuda|triton|specbias)' | grep -vxFf requirements.txt; } > requirements-teach.txt
	@rm -rf _build/lock

clean:         ## remove everything that was built; .venv and results/ stay
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
	find book lib tests -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

$(TEACH): requirements-teach.txt $(READY)
	@echo "Installing into .venv what assignments need (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-teach.txt
	@touch $@

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 13))' || { \
	  echo "This book needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	  "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@echo "Installing into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@
