# The one door for developers: `make help`.
#
# Everything that is set up lands in $(VENV) and build/, and stamps there tell what is up to date. Another interpreter
# takes another folder: make test PYTHON=python3.13 VENV=.venv-313

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
APP ?= examples.hello:app

# More arguments for what a target runs, e.g. make test PYTEST='-k keep_alive'
PYTEST ?=
# What `make test` chooses by markers, e.g. MARKS='not slow'; pyproject.toml has them.
MARKS ?=
BENCH ?=
SCENARIO ?= hello
SERVER ?=
# Autobahn's cases for `make conformance`, such as '12.*'; all without any.
CASES ?=
# Seconds of `make stress`, and more arguments for it, such as --seed 17.3 to run one again (python -m stress --help).
STRESS ?= 600
STRESS_ARGS ?=
# Seconds of `make fleet`, in which each server is upgraded in both ways at least once.
FLEET ?= 120
AGAINST ?= $(wildcard bench/results/reference/result.json)
CORES := $(shell nproc)
# Files of tests that run at the same time: the tests mostly wait.
JOBS ?= $(shell expr $(CORES) '*' 3)
# Tests that do nothing but wait, at the same time.
WAITING ?= $(shell expr $(CORES) '*' 4)
SHORT_TIMES := alone and not alone(waits=True) and not alone(measures=True) and not tools

AND_MARKS := $(if $(MARKS), and ($(MARKS)))
# The files with tests that are marked alone, so that not all the others are collected once more for them; but where PYTEST
# names files itself.
ALONE = $(if $(findstring tests/,$(PYTEST)),,$(shell grep -rl --include='test_*.py' 'mark\.alone' tests))

BIN := $(VENV)/bin
PY := $(BIN)/python

# A change of switches is a change of what is built. One variant at a time is in place, so each removes the others' stamps.
SWITCHES := $(foreach name,DEBUG SANITIZE WERROR SYSTEM_LLHTTP NO_NGHTTP2 NO_ZLIB,$(filter-out -$(name)-0 -$(name)-,-$(name)-$(FASTSERVE_$(name))))
INSTALLED := $(VENV)/.installed
DEVELOP := $(VENV)/.develop
PICTURES := $(VENV)/.pictures
BUILT := $(VENV)/.built$(subst $() ,,$(SWITCHES))

# The package once more, with assertions and sanitizers: beside the one in place, which stays as it is.
SANITIZED := build/sanitized/.built
# What loads it into a Python that is not sanitized itself. Freed memory is kept back for a while, but not so much that servers
# under test need more of it than a machine has.
UNDER_SANITIZERS = PYTHONPATH=$(abspath build/sanitized):$(abspath tests) PYTHONMALLOC=malloc \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=2 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# Likewise with ThreadSanitizer, for a worker's threads.
RACES := build/races/.built
WATCHED_THREADS = PYTHONPATH=$(abspath build/races):$(abspath tests) LD_PRELOAD="$$($(CC) -print-file-name=libtsan.so)" \
	TSAN_OPTIONS=exitcode=66:halt_on_error=1 TEST_PATIENCE=4
# What says most in the least time: each module by itself, the command and its options, what goes over the wire by HTTP/1 and
# HTTP/2 and what an application sees of it, every golden case, the rules of the architecture and of the documents.
QUICK := tests/unit tests/cli tests/behaviour tests/http2 tests/golden tests/test_golden_core.py tests/test_architecture.py \
	tests/test_core_parts.py tests/test_core_tables.py tests/test_documents.py
# What runs the compiled core; no clients of others, whose processes would be sanitized with it.
SANITIZED_TESTS ?= tests/behaviour tests/http2 tests/tls tests/websocket tests/wsgi tests/task tests/test_golden_core.py
# Runs of the core's state machine for `make fuzz-core`, on each loop.
EXAMPLES ?= 2000

PYTHON_SOURCES := $(wildcard src/fastserve/*.py src/fastserve/*/*.py)
EXT := $(wildcard ext/*/*.c ext/*/*.h ext/*/*.pyx ext/*/*.pxd ext/*/*.pxi ext/*/*/*.pxd ext/*/*/*.pxi)
C_ROOMS := $(wildcard ext/base/*.c ext/net/*.c ext/proto/*.c)
C_COMPILERS := $(shell for cc in gcc clang; do command -v $$cc; done)

.DELETE_ON_ERROR:
.PHONY: help run build quick test test-tools test-applications soak fleet stress conformance test-c test-threads test-over lint lint-python lint-c analyze bench bench-peers bench-users bench-check bench-micro profile fuzz fuzz-core llhttp clean distclean

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=$(PYTHON)  VENV=$(VENV)  switches: FASTSERVE_DEBUG=1 FASTSERVE_SANITIZE=1 FASTSERVE_WERROR=1"

run: $(BUILT)  ## serve APP (examples.hello:app) on HOST:PORT (127.0.0.1:8000)
	$(BIN)/fastserve $(APP) --host $(HOST) --port $(PORT)

build: $(BUILT)  ## build the compiled modules in place, in VENV

# What is marked `alone` runs after the rest, even if that has failed: what waits beside many of its like, what looks at short times
# one a core, and what measures alone. With PYTEST or MARKS any of the four may be without a test (5), not all of them.
ifeq ($(SANITIZE),1)
test: $(DEVELOP) $(SANITIZED)  ## the whole suite; SANITIZE=1: what runs the compiled core, under AddressSanitizer and UBSan
	$(UNDER_SANITIZERS) TEST_PATIENCE=4 $(PY) -m pytest --numprocesses 2 --dist loadfile --timeout 900 \
		-m 'not alone' -p no:cacheprovider $(SANITIZED_TESTS) $(PYTEST)
else
test: $(BUILT) $(DEVELOP)  ## the suite of the server; make test-tools is the rest
	@$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -m 'not alone and not tools$(AND_MARKS)' $(PYTEST); \
	all=$$?; \
	$(PY) -m pytest --numprocesses $(WAITING) --dist load -m 'alone(waits=True) and not tools$(AND_MARKS)' $(ALONE) $(PYTEST); all=$$all-$$?; \
	$(PY) -m pytest --numprocesses $(CORES) --dist load -m '$(SHORT_TIMES)$(AND_MARKS)' $(ALONE) $(PYTEST); all=$$all-$$?; \
	$(PY) -m pytest -m 'alone(measures=True) and not tools$(AND_MARKS)' $(ALONE) $(PYTEST); all=$$all-$$?; \
	case -$$all in *-[!05]*|-5-5-5-5) exit 1;; esac
endif

# What measures runs after the rest, even if that has failed.
test-tools: $(BUILT) $(DEVELOP)  ## the C rooms, short fuzzing and stress, Autobahn, packaging, and the benchmark's own tests
	@$(PY) -m pytest --numprocesses $$(($(CORES) + 1)) --dist loadfile --no-loadscope-reorder -m 'tools and not alone$(AND_MARKS)' $(PYTEST); \
	all=$$?; \
	$(PY) -m pytest -m 'tools and alone$(AND_MARKS)' $(PYTEST); all=$$all-$$?; \
	case -$$all in *-[!05]*|-5-5) exit 1;; esac

# On one of the two loops, without what takes seconds or has to be alone.
quick: $(BUILT) $(DEVELOP)  ## what says most in a minute or so, after every step; PYTEST='-x' and MARKS work as above
	$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder -k 'not asyncio' \
		-m 'not alone and not slow$(AND_MARKS)' $(QUICK) $(PYTEST)

# The tests of behaviour and of frameworks once more, on one of the two loops.
test-over: $(BUILT) $(DEVELOP)  ## over TLS what is not about the wire itself, over HTTP/2 what ordinary clients do
	$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile -m 'not alone' -k 'not asyncio' --over tls \
		tests/behaviour tests/frameworks tests/websocket tests/wsgi
	$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile -m 'not alone' -k 'not asyncio' --over h2 tests/frameworks

test-applications: $(BUILT) $(DEVELOP)  ## published applications, which are large: not in continuous integration
	$(PY) -m pip install --quiet -r tests/applications/requirements.txt
	$(PY) -m pytest tests/applications $(PYTEST)

soak: $(BUILT) $(DEVELOP)  ## reloads, crashes, scaling and upgrades under load, the long way (about half an hour)
	SOAK=1 $(PY) -m pytest tests/supervised tests/tls/test_certificates.py tests/http2/test_floods.py tests/http2/test_h2_endurance.py \
		tests/behaviour/test_standing_still.py $(PYTEST)

fleet: $(BUILT) $(DEVELOP)  ## three servers behind HAProxy, upgraded one after the other under load for FLEET=120 seconds
	PYTHONPATH=tests $(PY) -m fleet --seconds $(FLEET)

stress: $(DEVELOP) $(SANITIZED)  ## random clients against the sanitized server for STRESS=600 seconds
	PYTHONPATH=tests $(PY) -m stress --build $(dir $(SANITIZED)) --seconds $(STRESS) $(STRESS_ARGS)

conformance: $(BUILT) $(DEVELOP)  ## Autobahn's fuzzing client, every case (some minutes; needs a Python 2.7)
	PYTHONPATH=tests $(PY) -m conformance.autobahn $(CASES)

# setarch: the run-time library wants addresses where a kernel's random ones may be. Servers that report a race end with 66, and
# a test that looks at how its server ends fails. What measures memory or stacks would measure the run-time library's.
test-threads: $(DEVELOP) $(RACES)  ## the threads of WSGI workers under ThreadSanitizer (some minutes)
	$(WATCHED_THREADS) setarch -R $(PY) -m pytest --numprocesses 2 -p no:cacheprovider tests/wsgi/test_threads.py \
		-k 'not grow_memory and not stack_size and not stalled_readers' \
		tests/wsgi/test_threads.py tests/wsgi/test_ending.py tests/wsgi/test_response.py $(PYTEST)

test-c: llhttp  ## the C rooms alone, under sanitizers
	$(MAKE) -C tests/c test threads without

lint: lint-python lint-c  ## ruff, mypy, and the C rooms with every warning an error

lint-python: $(DEVELOP)  ## ruff and mypy alone
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lint-c: llhttp  ## the warnings of the C rooms alone, on gcc and clang
	@set -e; for cc in $(C_COMPILERS); do for file in $(C_ROOMS); do \
		$$cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -iquote ext -Ibuild/llhttp/include $$file; \
	done; echo "$$cc: $(words $(C_ROOMS)) files without a warning"; done

# Of it, gcc's -fanalyzer and cppcheck it found the most of the faults that were planted in these rooms in order to choose (use after
# free, a value that is not always set, a pointer that may be NULL), and the most to look at in the rooms as they were. A finding is
# an error; one that is wrong gets an assertion of what the analyser cannot know, and no comment that silences it.
ANALYZE := clang --analyze --analyzer-output text -Xclang -analyzer-werror \
	-Xclang -analyzer-checker=core,unix,deadcode,security,nullability,optin.portability \
	-Xclang -analyzer-disable-checker=security.insecureAPI.DeprecatedOrUnsafeBufferHandling \
	-std=gnu11 -DFS_DEBUG=1 -iquote ext -Ibuild/llhttp/include

analyze: llhttp  ## the C rooms under clang's static analyser
	@command -v clang >/dev/null || { echo 'make analyze needs clang (apt install clang)'; exit 1; }
	@printf '%s\n' $(C_ROOMS) | xargs -P $(shell nproc) -n 1 $(ANALYZE)
	@echo "clang --analyze: $(words $(C_ROOMS)) files without a finding"

bench: $(BUILT) $(DEVELOP) $(PICTURES)  ## CPU time per request beside the limit program, within 3 minutes
	$(PY) -m bench $(or $(BENCH),--set own)

bench-peers: $(BUILT) $(DEVELOP) $(PICTURES)  ## more scenarios, beside every peer that can be installed, within 40 minutes
	$(PY) -m bench $(or $(BENCH),--set peers)

bench-users: $(BUILT) $(DEVELOP) $(PICTURES)  ## what people do: behind a proxy, frameworks, forms, large bodies, slow clients; within 40 minutes
	$(PY) -m bench $(or $(BENCH),--set users)

bench-check: $(BUILT) $(DEVELOP)  ## fails where CPU time has grown since the result AGAINST
	@[ -n "$(AGAINST)" ] || { echo 'make bench-check AGAINST=bench/results/.../result.json: name an earlier result'; exit 2; }
	$(PY) -m bench check --against $(AGAINST) $(BENCH)

bench-micro: $(BUILT) llhttp  ## what single things cost in the C rooms and the core: nanoseconds, and instructions with valgrind
	$(PY) -m bench.micro $(BENCH)

profile: $(BUILT)  ## where the time goes in SCENARIO (hello): samples of perf as a flame graph
	$(PY) -m bench.perf $(SCENARIO) $(if $(SERVER),--server $(SERVER)) $(BENCH)

fuzz: llhttp  ## every parser under libFuzzer for a while
	$(MAKE) -C tests/fuzz fuzz

fuzz-core: $(DEVELOP) $(SANITIZED)  ## the core as one state machine under the sanitizers, EXAMPLES=2000 runs on each loop
	$(UNDER_SANITIZERS) $(PY) -m fuzz.core_machine $(EXAMPLES)

llhttp: build/llhttp/SHA256

build/llhttp/SHA256: $(PY) tools/llhttp_source.py
	@$(PY) tools/llhttp_source.py >/dev/null
	@touch $@

# Build requirements are named once, in pyproject.toml; without isolation a second build is a matter of seconds.
$(PY):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("fastserve needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(PY) pyproject.toml setup.py
	@tools/libraries.sh $(CC)
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		> $(VENV)/build-requirements.txt
	$(PY) -m pip install --quiet --upgrade -r $(VENV)/build-requirements.txt
	$(PY) -m pip install --quiet --no-build-isolation --editable .
	@rm -f $(VENV)/.built*
	@touch $@ $(BUILT)

$(DEVELOP): $(INSTALLED) tests/requirements.txt tools/requirements.txt
	$(PY) -m pip install --quiet -r tests/requirements.txt -r tools/requirements.txt
	@touch $@

# Without them there is a report all the same, so that a machine without an index can measure too.
$(PICTURES): $(DEVELOP) bench/requirements.txt
	-@$(PY) -m pip install --quiet -r bench/requirements.txt && touch $@

# An editable installation has built them in place, and linking is the larger part of building: not twice in a row.
$(BUILT): $(INSTALLED) $(EXT)
	@[ -e $@ ] && [ -z "$$(find $^ -newer $@)" ] || $(PY) setup.py --quiet build_ext --inplace
	@rm -f $(VENV)/.built*
	@touch $@

$(SANITIZED): $(INSTALLED) $(EXT) $(PYTHON_SOURCES)
	FASTSERVE_DEBUG=1 FASTSERVE_SANITIZE=1 $(PY) setup.py --quiet build_py --build-lib $(@D) build_ext --build-lib $(@D)
	@touch $@

$(RACES): $(INSTALLED) $(EXT) $(PYTHON_SOURCES)
	FASTSERVE_DEBUG=1 FASTSERVE_SANITIZE=thread $(PY) setup.py --quiet build_py --build-lib $(@D) build_ext --build-lib $(@D)
	@touch $@

clean:  ## remove what was built; llhttp's source and the virtual environment stay
	rm -rf dist src/*.egg-info src/fastserve/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf tests/c/build tests/c/build-threads tests/c/build-without tests/fuzz/build bench/build
	rm -f $(VENV)/.built*
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name llhttp -exec rm -rf {} +
	find . -name __pycache__ -not -path './.venv*' -exec rm -rf {} +

distclean: clean  ## and those as well
	rm -rf build $(VENV)
