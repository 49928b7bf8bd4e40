# The verbs of portico. `make run` and `make test` need a Python (3.10+), a Rust toolchain and a C
# compiler; everything else they install into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := Cargo.toml Cargo.lock pyproject.toml build.rs $(shell find src crates -path '*/tests' -prune -o \( -name '*.rs' -o -name '*.ld' -o -name Cargo.toml \) -print)
EXAMPLE ?= examples.guestbook:application
# Of Cargo.toml: release, or profiling, which keeps names and lines.
PROFILE ?= release
# What the targets assert, without a fuzzer; what it is compiled with is what everything else is.
FUZZ_BESIDE := --manifest-path fuzz/Cargo.toml --no-default-features --target-dir target
# Two more than there are processors: most tests wait.
TEST_PROCESSES ?= $(shell echo $$(($$(nproc) + 2)))
# Begun first, so that all processes end together.
LONGEST := $(addprefix tests/,reverse_proxies process generate docs dev)
# The other ways to execute, by PORTICO_WORKER; what has no meaning in one is marked so (tests/support/ways.py).
WAYS := gevent asyncio tornado
in_each_way = for way in $(WAYS); do \
	PORTICO_WORKER=$$way $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadscope $(1) \
	|| PORTICO_WORKER=$$way $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none $(1) || exit 1; done
# A server that is started for a test imports what the one before has compiled.
unexport PYTHONDONTWRITEBYTECODE
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run build test suite test-slow test-ways compare-lifecycle test-pythons wheels model test-deps check fuzz soak bench docs clean
help:
	@echo 'make run     build portico and serve examples/guestbook.py'
	@echo 'make build   build portico into .venv (PROFILE=profiling: with names and lines, for perf and backtraces)'
	@echo 'make test    build, then every test: cargo tests, pytest, lint, types, stub check'
	@echo 'make suite   make test without the fuzzers'
	@echo 'make test-slow  reloads, deaths, full disks and the like by the dozen, under a load that counts every request; model; wheels'
	@echo 'make test-ways  what clients can see, for the other ways to execute than threads'
	@echo 'make test-pythons  build for every Python that is here, and run the tests that it has a part in'
	@echo 'make wheels  what is published, in dist/: a wheel for each Python and machine, and the source distribution'
	@echo 'make check   lint, types and stub check only'
	@echo 'make fuzz    every fuzz target for two minutes, then mutated requests to a running server'
	@echo 'make soak    half an hour of honest and hostile clients, with workers killed'
	@echo 'make bench   measure portico beside its peers, write bench/RESULTS.md'
	@echo 'make compare-lifecycle  what such events cost, portico beside its peers, into docs/reliability.md'
	@echo 'make docs    write what is generated (settings, rules of HTTP/1.1, pictures, the long description), build site/'
	@echo 'make model   check with loom where threads meet: hand-over, wheel, turn (part of make test-slow)'
	@echo 'make clean   remove what was built'

run: build
	$(BIN)/portico run $(EXAMPLE)

build: $(VENV)/.built-$(PROFILE)

# The fuzzers have what the tests leave of the processors.
test: build test-deps $(VENV)/.test-tools $(VENV)/.docs-tools
	@if cargo fuzz --version >/dev/null 2>&1; then cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml || true; fi
	$(BIN)/python fuzz/beside.py $(MAKE) --no-print-directory suite

# Where the processors were somebody else's for seconds a test of times fails that is right: so what failed beside others
# is tried once more by itself. Both runs are in the output.
suite: build test-deps $(VENV)/.test-tools $(VENV)/.docs-tools target/wheel/.built
	$(MAKE) --no-print-directory check
	cargo test --quiet --workspace
	cargo test --quiet $(FUZZ_BESIDE)
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder -m 'not alone' $(LONGEST) tests \
		|| $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none
	$(BIN)/python -m pytest -q -m alone
	$(call in_each_way,tests/conformance)

# The hand-over of the lead in every order in which threads can meet; a build of its own, since it has other atomics.
model:
	RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=target/loom cargo test --quiet --release --package portico-crew --test hand_over
	cargo test --quiet --package portico-engine --test wheel_order --test turn_order

# Not part of `make test`: it takes twenty minutes besides those of test-ways, and both processors. What failed is tried once more, by itself:
# a stall of a tenth of a second that the machine has made is not there twice.
SLOW := $(addsuffix /slow,tests/process tests/reverse_proxies)
test-slow: build test-deps $(VENV)/.test-tools dist/.runnable
	$(MAKE) --no-print-directory model test-ways
	$(BIN)/python -m pytest -q $(SLOW) || $(BIN)/python -m pytest -q $(SLOW) --last-failed

# All that clients can see, whatever has the calls; part of `make test-slow`. In one process each way takes a quarter
# of an hour.
test-ways: build test-deps $(VENV)/.test-tools
	$(call in_each_way,tests/conformance tests/server)

compare-lifecycle: build
	$(BIN)/python -m lifecycle.compare $(LIFECYCLE)

# Not part of `make test`: it builds once more for each Python.
test-pythons:
	$(PYTHON) tests/pythons.py $(PYTHONS)

PUBLISHED := $(SOURCES) $(shell find python \( -name '*.py*' -o -name 'page.*' \) -not -path '*/__pycache__/*') LICENSE python/README.md tests/wheels.py

wheels: dist/.all

dist/.all: $(VENV)/.wheel-tools $(PUBLISHED)
	$(BIN)/python tests/wheels.py
	touch dist/.runnable $@

# For `make test-slow`: those that a Python of this machine can load.
dist/.runnable: $(VENV)/.wheel-tools $(PUBLISHED)
	$(BIN)/python tests/wheels.py --runnable
	touch $@

# For the pages that begin with `pip install`: what `make build` has built, as a wheel for this machine alone.
target/wheel/.built: $(PUBLISHED) | build
	rm -rf target/wheel
	$(BIN)/maturin build --quiet --release --locked --compatibility linux --out target/wheel
	touch $@

test-deps:
	@tests/install_packages.sh

check: build $(VENV)/.test-tools
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --quiet $(FUZZ_BESIDE) --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --offline check licenses bans sources; fi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest portico._core

fuzz: build
	$(BIN)/python fuzz/run.py $(FUZZ)

soak: build
	$(BIN)/python soak/run.py $(SOAK)

bench: build
	$(BIN)/python bench/compare.py $(BENCH)

docs: build $(VENV)/.docs-tools
	$(BIN)/python docs/generate_settings.py > docs/settings.md
	$(BIN)/python docs/generate_http.py > docs/http.md
	$(BIN)/python docs/generate_unsafe.py > docs/unsafe.md
	$(BIN)/python docs/generate_package.py > python/README.md
	$(BIN)/python docs/generate_generate.py > docs/generate.md
	$(BIN)/python docs/generate_moving.py > docs/moving.md
	$(BIN)/python docs/generate_man.py > docs/portico.1
	$(BIN)/python -m portico schema > docs/portico.schema.json
	$(BIN)/python docs/generate_defaults.py > crates/engine/tests/support/settings.txt
	$(BIN)/python docs/contributing/draw_house.py > docs/contributing/house.svg
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo 'The site: $(BIN)/python -m http.server --directory site --bind 127.0.0.1'

clean:
	rm -rf $(VENV) dist site target fuzz/target fuzz/work

$(VENV)/.tools:
	@command -v cargo >/dev/null || { echo 'portico needs a Rust toolchain (cargo): install it from https://rustup.rs or your distribution, then run make again.'; exit 1; }
	@command -v cc >/dev/null || { echo 'portico needs a C compiler (cc): on Debian, apt-get install gcc libc6-dev.'; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo 'portico needs Python 3.10 or later ($(PYTHON)): on Debian, apt-get install python3 python3-venv.'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo 'portico needs Python 3.10 or later; $(PYTHON) is older. Try make PYTHON=python3.12.'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo 'portico needs the venv module of $(PYTHON): on Debian, apt-get install python3-venv.'; exit 1; }
	$(BIN)/pip install --quiet 'maturin>=1.9,<2'
	touch $@

# What is installed is of one profile. The lines are cargo's and pip's; the last crate alone takes a minute.
$(VENV)/.built-$(PROFILE): $(VENV)/.tools $(SOURCES)
	rm -f $(VENV)/.built*
	$(BIN)/maturin develop --profile $(PROFILE)
	touch $@

$(VENV)/.wheel-tools: $(VENV)/.tools
	$(BIN)/pip install --quiet 'maturin[zig]>=1.9,<2'
	touch $@

$(VENV)/.test-tools: $(VENV)/.tools tests/requirements.txt
	$(BIN)/pip install --quiet -r tests/requirements.txt
	touch $@

$(VENV)/.docs-tools: $(VENV)/.tools docs/requirements.txt
	$(BIN)/pip install --quiet -r docs/requirements.txt
	touch $@
