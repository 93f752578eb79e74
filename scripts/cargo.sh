#!/usr/bin/env bash
# cargo with mold as the linker where there is one: links take a tenth of the time. Everything else is left to cargo's own configuration.
set -euo pipefail
if command -v mold >/dev/null 2>&1 && [ -z "${RUSTFLAGS:-}" ] && ! grep -qs mold "${CARGO_HOME:-$HOME/.cargo}/config.toml"; then
  export RUSTFLAGS="-C link-arg=-fuse-ld=mold"
fi
exec "${CARGO:-cargo}" "$@"
