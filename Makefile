# Every target sets up .venv first: once, and again when pyproject.toml or constraints.txt change.
#
#   make demo                 reconstruct the bundled head and print where the result lies
#   make test                 the tests that take minutes; test-slow and test-gpu are the others
#   make PYTHON=python3.12    with that Python instead of the newest one found
#   make PIP_ARGS=...         with more arguments for pip, such as an index of CPU-only torch builds on Linux
#
# On Windows, without make:
#   py -m venv .venv
#   .venv\Scripts\activate
#   py -m pip install -e .
#   bozzetto reconstruct src\bozzetto\assets\demo_head.png --gan heads --out results\demo

# Immediate, so that the search runs once; only when no PYTHON is given.
ifndef PYTHON
PYTHON := $(shell for p in python3.14 python3.13 python3.12 python3.11 python3.10 python3 python; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP = $(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt

# Every process of the tests computes with one thread, so one a core; a file's tests stay together,
# with what they share.
PARALLEL := -n logical --maxprocesses 8 --dist loadfile

# Only data files of these are read: a segmentation network, two sets of perceptual weights. Nothing of them is
# imported, and what they depend on (jax, OpenCV, torchvision) is neither needed nor installed.
DATA_ONLY := mediapipe stlpips-pytorch lpips

.PHONY: help venv demo validator test test-slow test-hostile test-gpu test-ray test-triton test-blender fuzz check format bench viewer clean

help:
	@echo "make demo | test | test-slow | test-hostile | test-gpu | test-triton | test-blender | fuzz | check | format | bench | viewer | clean"

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.10 or newer is needed and none was found."; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  echo "This Python cannot put pip into a virtual environment; trying with its own pip."; \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(PIP) torch
	$(PIP) -e '.[dev]'
	@$(PIP) ai-edge-litert || echo "Note: ai-edge-litert has no build for this system; photos are cut out without it."
	@$(PIP) usd-core || echo "Note: usd-core has no build for this system; meshes are not written as USDZ."
	@for name in $(DATA_ONLY); do $(PIP) --no-deps $$name || \
	  echo "Note: $$name has no build for this system; what needs it will say so. To try again: rm $(INSTALLED)"; done
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/bozzetto reconstruct src/bozzetto/assets/demo_head.png --gan heads --out results/demo

# The Khronos validator of glTF files, where there is npm; its tests skip themselves without.
validator:
	@command -v npm >/dev/null || { echo "Note: no npm; GLB files are not validated."; exit 0; }; \
	cd tests/export/validator && { test -d node_modules/gltf-validator || npm ci --silent || \
	echo "Note: npm could not fetch gltf-validator; GLB files are not validated."; }

test: $(INSTALLED) validator
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) -m "not slow and not gpu and not hostile and not ray"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m "slow and not gpu and not hostile"

# Prints a table of what was injected and what came of it; docs/reliability.md has that of the last long run.
test-hostile: $(INSTALLED)
	$(BIN)/python -m pytest tests/hostile tests/serve/test_many.py

test-ray: $(INSTALLED)
	@$(BIN)/python -c 'import ray' 2>/dev/null || $(PIP) 'ray>=2.10'
	$(BIN)/python -m pytest -m ray

test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest -m gpu

# The GPU rasteriser by Triton's interpreter, on any Linux machine. Triton comes with CUDA builds of torch alone.
test-triton: $(INSTALLED)
	@$(BIN)/python -c 'import triton' 2>/dev/null || $(PIP) triton
	$(BIN)/python -m pytest tests/geometry/test_rasterise_cuda.py

# Mesh files in Blender, which is a module of 0.5 GB here, in an environment of its own, for Python 3.11 and no other.
# BPY=FILE.whl takes another build.
BPY ?= bpy==4.2.0
BLENDER := .venv-blender
test-blender: $(INSTALLED)
	@test -x $(BLENDER)/bin/python || { \
	  for p in $(BIN)/python python3.11 python3; do \
	    if $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then found=$$p; break; fi; done; \
	  test -n "$$found" || { echo "Blender's module needs Python 3.11 and none was found."; exit 1; }; \
	  $$found -m venv --without-pip $(BLENDER); }
	@$(BLENDER)/bin/python -c 'import bpy' 2>/dev/null || { \
	  $(BIN)/python -m pip --python $(BLENDER)/bin/python install --disable-pip-version-check $(PIP_ARGS) '$(BPY)' && \
	  $(BLENDER)/bin/python -c 'import bpy'; }
	BOZZETTO_BLENDER=$(BLENDER)/bin/python $(BIN)/python -m pytest -rs tests/export/test_blender.py

check: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	@$(BIN)/python .ci/audit.py

format: $(INSTALLED)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

# The loaders of generators, fuzzed; FUZZ_SECONDS=3600 for longer, FUZZ_SEED=2 for another run. Atheris has builds for
# Linux alone.
FUZZ_SECONDS ?= 300
FUZZ_SEED ?= 1
fuzz: $(INSTALLED)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(PIP) -q atheris 2>/dev/null || true
	@$(BIN)/python tests/fuzz/fuzz_loaders.py --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

# make bench ARGS='heads --n 3' runs another one.
bench: ARGS ?= steps
bench: $(INSTALLED)
	$(BIN)/bozzetto bench $(ARGS)

# Only for those who change the viewer: builds src/bozzetto/assets/viewer.js and gallery.js anew. Needs node and npm.
viewer:
	cd viewer && npm ci --no-audit --no-fund && npm test && npm run build

clean:
	rm -rf $(VENV) $(BLENDER) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
