# skiff. `make up` starts a cluster on this machine, `make test` runs every test; both install what they need where they may.

CARGO ?= cargo
SKIFF  = target/release/skiff
# Where the outside judges are (conformance suite, golden answers): see docs/COMPATIBILITY.md.
JUDGES ?= ../shared

.PHONY: up down test tools check unit e2e bench conformance build clean

up: build
	@scripts/ensure-docker.sh
	@$(SKIFF) up

down:
	@$(SKIFF) down

build:
	@scripts/cargo.sh build --release -p skiff

# Everything that has to hold, from a fresh clone.
test: tools check unit e2e

# What tests need besides Rust: a Docker engine and a kubectl.
tools:
	scripts/ensure-docker.sh
	scripts/ensure-kubectl.sh

check:
	$(CARGO) fmt --all --check
	scripts/cargo.sh clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" scripts/cargo.sh doc --quiet --workspace --no-deps
	scripts/deny.sh

unit: tools
	scripts/cargo.sh test --workspace --exclude skiff-tests
	scripts/cargo.sh test -p skiff-tests --test house --test one_process

e2e: tools
	scripts/cargo.sh build -p skiff
	scripts/cargo.sh test -p skiff-tests

bench: build
	@scripts/ensure-docker.sh
	@$(SKIFF) bench

conformance: build
	@JUDGES=$(JUDGES) scripts/conformance.sh

clean:
	$(CARGO) clean
