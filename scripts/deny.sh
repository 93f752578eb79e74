#!/usr/bin/env bash
# Licences, sources and bans of every dependency (deny.toml), by cargo-deny where it is there. Building it takes longer than everything else
# together, so it is not installed here: tests/house checks the same lists on every machine.
set -euo pipefail
if command -v cargo-deny >/dev/null 2>&1; then
  exec cargo deny --locked check bans licenses sources
fi
echo "skiff: cargo-deny is not here (cargo install cargo-deny --locked); tests/house checks deny.toml" >&2
