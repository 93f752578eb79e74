#!/usr/bin/env bash
# Runs the outside judges against clusters of this build: golden answers against the API server alone, golden lives against two nodes,
# and Kubernetes' own conformance suite (the set of $SET, default core) against three. What they print is left in out/.
set -euo pipefail
cd "$(dirname "$0")/.."
judges=${JUDGES:-../shared} set=${SET:-core} out=${OUT:-out} port=${PORT:-7443}
[ -d "$judges/conformance" ] && [ -d "$judges/golden" ] || { echo "skiff: there are no judges in $judges: say where they are with JUDGES=DIR" >&2; exit 1; }
scripts/ensure-docker.sh
skiff=$PWD/target/release/skiff; mkdir -p "$out"; out=$(cd "$out" && pwd)
cluster() { # NAME NODES: a cluster of its own, with Kubernetes' timings
  export SKIFF_DATA_DIR=$out/$1 KUBECONFIG=$out/$1/kubeconfig
  "$skiff" up --nodes "$2" --port "$port" --timings kubernetes --no-kubeconfig >/dev/null
  trap '"$skiff" down --purge >/dev/null' EXIT
}
ended() { "$skiff" down --purge >/dev/null; trap - EXIT; }

cluster golden 0
python3 "$judges/golden/replay.py" --kubeconfig "$KUBECONFIG" --jobs 4 "$judges/golden/scenarios" | tee "$out/golden.txt" | tail -14 || true
ended

# Building the suite and its images takes minutes, once; they are kept in out/bin.
cp -r "$judges/conformance" "$out/suite.new" && chmod -R u+w "$out/suite.new" && rm -rf "$out/suite" && mv "$out/suite.new" "$out/suite"
"$out/suite/build.sh" "$out/bin" && "$out/suite/images.sh" "$out/bin"

cluster life 2
python3 "$judges/golden/life/life.py" --jobs 4 "$judges/golden/life/cases" | tee "$out/life.txt" | tail -1 || true
ended

cluster conformance 3
"$out/suite/run.sh" --bin "$out/bin" --names "$out/suite/sets/$set.txt" --out "$out/$set" "$KUBECONFIG" | tee "$out/$set.txt" || true
ended
