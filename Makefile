# make demo: a mesh of four nodes on this machine.  make test: every test.  The rest is for those who change the code.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: help demo test unit integration slow interop page-test sim chaos chaos-sim memory-sim check format conformance bench bench-cli bench-failover bench-hub bench-idle bench-mesh bench-restart bench-restart-kernel bench-routes bench-rtt bench-sim bench-tunnel peers man deb packaging clean

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

$(READY): pyproject.toml
	@PYTHON=$(PYTHON) .ci/venv

demo: $(READY) ## build a mesh of four nodes, cut a link, watch it reroute (ARGS="--hold" keeps it)
	@$(BIN)/babelwg demo $(ARGS)

check: $(READY) ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict babelwg
	$(PYTEST) -q tests/test_layers.py

format: $(READY) ## bring the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: unit integration ## unit, simulator and integration tests (`make slow` and `make interop` have those that take minutes)

unit: $(READY) ## the tests that need neither root nor network
	$(PYTEST) -q -n $(shell nproc) --dist worksteal tests

integration: $(READY) peers ## the tests against a real kernel and real peers
	$(PYTEST) -q integration -m "not slow and not interop" $(ARGS)

slow: $(READY) peers ## the integration tests that wait for real timers
	$(PYTEST) -q integration -m slow $(ARGS)

interop: $(READY) peers ## babelwg in mixed networks with babeld, BIRD and FRR (ARGS="-k bird" for some)
	$(PYTEST) -q integration/interop --durations=10 $(ARGS)

page-test: $(READY) peers ## the page in a headless browser against a live mesh, screenshots in build/screenshots
	@.ci/browser
	$(PYTEST) -q tests/web integration/web $(ARGS)

sim: $(READY) ## a thousand random storms over simulated meshes (SIM_SEEDS=N for another number)
	SIM_SEEDS=$(or $(SIM_SEEDS),1000) $(PYTEST) -q tests/lab --timeout 3600

chaos: $(READY) peers ## minutes of cuts, kills and flushes on a grid of nine daemons (ARGS="--minutes 10 --seed 1 --spare n22")
	$(BIN)/python -m integration.chaos.storm $(ARGS)

chaos-sim: $(READY) ## the same storms in virtual time, never a loop (ARGS="--seeds 1000")
	$(BIN)/python -m integration.chaos.simulated $(ARGS)

memory-sim: $(READY) ## a day of churn in virtual time, in which no container of a speaker may grow (ARGS="--hours 24")
	$(BIN)/python -m integration.chaos.memory $(ARGS)

peers:
	@.ci/peers

conformance: $(READY) peers ## fail unless every requirement has its test (README=1 writes the table into README.md)
	$(PYTEST) -q tests integration -m conformance --conformance $(if $(README),--conformance-readme) $(ARGS)

bench: ## all figures, one benchmark after the other (CHECK=1: fail on a miss)
	@$(MAKE) --no-print-directory bench-failover bench-restart bench-routes bench-hub bench-mesh bench-tunnel bench-idle bench-rtt bench-cli bench-sim

bench-cli: $(READY) peers ## what commands take beside 10,000 routes, and whether telling them holds up Hellos (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.cli $(if $(CHECK),--check) $(ARGS)

bench-failover: $(READY) peers ## seconds without traffic after a silent cut, beside babeld and BIRD (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.failover $(if $(CHECK),--check) $(ARGS)

bench-hub: $(READY) peers ## a node with 100 neighbours: seconds until all know all, and its cost, beside babeld and BIRD (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.hub $(if $(CHECK),--check) $(ARGS)

bench-idle: $(READY) peers ## octets and CPU of tunnels at rest, beside babeld (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.idle $(if $(CHECK),--check) $(ARGS)

bench-mesh: $(READY) peers ## seconds until all know all in a line of 10 and a grid of 16, beside babeld and BIRD (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.mesh $(if $(CHECK),--check) $(ARGS)

bench-restart: $(READY) peers ## packets that a restart costs, planned and by kill -9, beside babeld (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.restart $(if $(CHECK),--check) $(ARGS)

bench-restart-kernel: $(READY) peers ## the same with WireGuard of the kernel, in one that is built and run as a program, in slow motion
	.ci/kernel/run $(BIN)/python -m integration.bench.restart --kinds kernel --slow 2 $(ARGS)

bench-routes: $(READY) peers ## 20,000 routes into the kernel and their upkeep, beside babeld and BIRD (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.routes $(if $(CHECK),--check) $(ARGS)

bench-rtt: $(READY) peers ## seconds until traffic leaves a slow link and returns, beside babeld (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.rtt $(if $(CHECK),--check) $(ARGS)

bench-sim: $(READY) ## a thousand nodes in virtual time: loops, convergence, messages (CHECK=1: fail on a miss; ARGS="--nodes 100")
	$(BIN)/python -m integration.bench.simulation $(if $(CHECK),--check) $(ARGS)

bench-tunnel: $(READY) ## seconds from the handshake of a new tunnel until its first route (CHECK=1: fail on a miss)
	$(BIN)/python -m integration.bench.tunnel $(if $(CHECK),--check) $(ARGS)

man: $(READY) ## the manual pages, into build/man (`man -M build/man babelwg`)
	@$(BIN)/babelwg man --output build/man

deb: $(READY) ## a Debian package with all that it needs, into build/
	@.venv/bin/python .ci/deb

packaging: $(READY) ## build the Debian package and install it in a clean root; as root
	@PEERS="debootstrap systemd-container groff man-db zsh fish" .ci/peers
	$(PYTEST) -q integration/packaging $(ARGS)

clean: ## remove what make made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find babelwg tests integration -name __pycache__ -prune -exec rm -rf {} +
