# make demo      install into a fresh .venv and code a small trained network
# make test      fresh .venv with everything the tests need, then ruff, mypy and pytest
# make check     the same checks in the .venv that is there (made if missing or out of date)
# make pythons   the whole suite on several Pythons and releases of numpy, PYTHONS="3.10 3.12 ..."
# make portable  the tests of the core on a build without vector instructions
# make interop   code with us, decode with NNCodec, and the other way round (NNCodec in .venv-peer)
# make frameworks  models of PyTorch, Keras, ONNX and Hugging Face to bitstreams and back (.venv-frameworks)
# make bench     the benchmarks against NNCodec; rewrites the tables in docs/
# make sanitize  the tests on a core that is compiled with address and undefined-behaviour sanitizers
# make fuzz      all fuzzers in turn, SECONDS=n in all (fuzz/README.md says what they need)
# make build     sdist, wheel and the wheel of vectors into dist/, installed and tested outside the checkout
# make cross     compile the core for other platforms with ziglang
# make aarch64   digests of streams and tests of the core for 64-bit ARM under qemu (tests/aarch64.sh: its needs)
# make clean     remove everything that the above made

PYTHON ?= python3
VENV := .venv
PEER := .venv-peer
FRAMEWORKS := .venv-frameworks
BIN := $(VENV)/bin
PIP := -m pip install --quiet --disable-pip-version-check
PYTEST_ARGS ?=
SECONDS ?= 300
# Releases for `make frameworks`, such as torch==2.13.0; else the newest, whose PyTorch may be a CUDA build of several GB.
FRAMEWORK_RELEASES ?=
# The Pythons of `make pythons`: versions or paths, with a requirement after a comma (tests/pythons.sh).
PYTHONS ?= 3.10 3.11 3.11,numpy==1.26.4 3.12 3.13 3.14
# A Python with torch, safetensors and Pillow: the benchmarks then measure accuracies too.
EVAL_PYTHON ?=

# What the installed package is made of; Python sources are used in place and need no new installation.
RECIPE := setup.py setup.cfg pyproject.toml MANIFEST.in nnr/_core_build.py nnr/_version.py $(wildcard c_core/*)

.PHONY: help demo test check portable interop frameworks bench sanitize fuzz build cross pythons aarch64 clean

help:
	@sed -n 's/^# //p' Makefile | head -n 14

demo:
	rm -rf $(VENV) build
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) .
	$(BIN)/nnr demo

test:
	rm -rf $(VENV)
	$(MAKE) check

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

portable: $(VENV)/.ready
	rm -rf build nnr/_core*.so
	NNR_NO_SIMD=1 $(BIN)/python $(PIP) --force-reinstall --no-deps --editable .
	$(BIN)/python -m pytest tests/core $(PYTEST_ARGS); status=$$?; rm -rf build; \
	$(BIN)/python $(PIP) --force-reinstall --no-deps --editable . && exit $$status

interop: $(VENV)/.ready $(PEER)/.ready
	$(BIN)/python -m pytest -m interop $(PYTEST_ARGS)

frameworks: $(VENV)/.ready $(FRAMEWORKS)/.ready
	$(FRAMEWORKS)/bin/python -m pytest tests/formats tests/frameworks tests/test_topology.py $(PYTEST_ARGS)

bench: $(VENV)/.ready $(PEER)/.ready
	$(BIN)/python benchmarks/models.py --docs docs/interop.md $(if $(EVAL_PYTHON),--eval-python $(EVAL_PYTHON))
	$(BIN)/python benchmarks/end_to_end.py --docs docs/interop.md
	$(if $(EVAL_PYTHON),$(BIN)/python benchmarks/accuracy.py --docs docs/rate-distortion.md --readme README.md --eval-python $(EVAL_PYTHON))

sanitize: $(VENV)/.ready
	fuzz/sanitize.sh $(BIN)/python $(PYTEST_ARGS)

fuzz: $(VENV)/.ready
	fuzz/run.sh $(BIN)/python $(SECONDS)

cross: $(VENV)/.ready
	$(BIN)/python $(PIP) ziglang
	tests/cross.sh $(BIN)/python

pythons:
	tests/pythons.sh $(PYTHONS)

aarch64: $(VENV)/.ready
	tests/aarch64.sh $(BIN)/python $(PYTEST_ARGS)

build: $(VENV)/.ready
	$(BIN)/python $(PIP) build
	rm -rf dist build
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --wheel --outdir dist conformance
	$(BIN)/python tests/installed.py dist

$(VENV)/.ready: $(RECIPE)
	rm -rf $(VENV) build
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --editable '.[test]'
	touch $@

# The peer is a release of its own with its own demands; it never shares an environment with us.
$(PEER)/.ready:
	rm -rf $(PEER)
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python $(PIP) 'numpy<2'
	$(PEER)/bin/python $(PIP) --no-deps nncodec==2.1.3
	touch $@

# The frameworks themselves, for tests alone; the package is the checkout, as $(VENV) has built it.
# A build of PyTorch without CUDA is chosen by FRAMEWORK_RELEASES or pip's own variables, such as PIP_EXTRA_INDEX_URL.
$(FRAMEWORKS)/.ready: setup.cfg
	rm -rf $(FRAMEWORKS)
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(if $(FRAMEWORK_RELEASES),$(FRAMEWORKS)/bin/python $(PIP) $(FRAMEWORK_RELEASES))
	$(FRAMEWORKS)/bin/python $(PIP) --editable '.[test,frameworks]'
	touch $@

clean:
	rm -rf $(VENV) $(PEER) $(FRAMEWORKS) build dist *.egg-info nnr/_core*.c nnr/_core*.so nnr/_core*.pyd
	rm -rf .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
