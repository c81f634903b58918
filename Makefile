# What a person does and what CI does. On Debian and Ubuntu each target installs what it lacks (dev/setup.sh says what and why);
# Rust must be there.
#
#   make demo     builds, imports the captures of captures/, shows a cut
#   make test     all tests
#   make check    what CI does: format, lints, docs, licences, captures, tests
#   make bench    measures beside peers, and prints rows for docs/benchmarks.md (GIB=8 for the full figures)
#   make fuzz     each fuzz target for FUZZ_SECONDS

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo
.PHONY: setup demo test check format lint docs licences captures bench fuzz

GIB ?= 2
FUZZ_SECONDS ?= 30
FUZZ_TARGETS := decode capture_file selection index flow smb_stream compression ntlm rpc task_arguments
CARGO_BIN := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin
export PATH := $(CARGO_BIN):$(PATH)
export GIB

setup:
	@dev/setup.sh build test check

demo:
	@dev/setup.sh build
	@dev/demo.sh

test:
	@dev/setup.sh build test
	cargo test --locked

check: setup format lint docs licences captures test

format:
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	cargo fmt --check

lint: setup
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
	cargo clippy --locked --all-targets -- -D warnings
	# The fuzz targets are a package of their own, which nothing else here builds.
	cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target -- -D warnings

docs: setup
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps

licences:
	@command -v cargo-deny >/dev/null || { echo "check: cargo-deny is missing: it judges licences and sources"; cargo install --locked cargo-deny --version ^0.20; }
	cargo deny --locked check licenses bans sources

captures:
	@dev/setup.sh check
	captures/make.sh --check

bench:
	@dev/setup.sh build bench
	cargo build --locked --release
	benches/import.sh
	benches/cut.sh

fuzz:
	@dev/setup.sh build fuzz
	@command -v cargo-fuzz >/dev/null || { echo "fuzz: cargo-fuzz is missing: it runs the fuzz targets"; cargo install --locked cargo-fuzz; }
	@cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10 -max_len=65536; \
	done
