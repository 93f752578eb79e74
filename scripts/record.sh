#!/usr/bin/env bash
# Records what README shows, on a real cluster of its own: docs/healing.svg. Needs asciinema and svg-term (`pip install asciinema`,
# `npm install svg-term-cli`), a built release and kubectl; the tests need none of it.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != play ]; then
  cast=$(mktemp --suffix=.cast)
  trap 'rm -f "$cast"' EXIT
  asciinema rec --quiet --overwrite --idle-time-limit 2 --cols 118 --rows 30 --command "$0 play" "$cast"
  "${SVG_TERM:-svg-term}" --in "$cast" --out docs/healing.svg --window --no-cursor --width 118 --height 30
  ls -l docs/healing.svg
  exit
fi

SKIFF_DATA_DIR=$(mktemp -d)
export SKIFF_DATA_DIR KUBECONFIG=$SKIFF_DATA_DIR/kubeconfig PATH=$PWD/target/release:$PATH
trap 'skiff down --purge >/dev/null 2>&1; rm -rf "$SKIFF_DATA_DIR"' EXIT

say() {
  printf '\e[32m$\e[0m '
  for ((at = 0; at < ${#1}; at++)); do
    printf '%s' "${1:at:1}"
    sleep 0.02
  done
  echo
}
run() {
  say "$1"
  eval "$1"
  echo
  sleep "${2:-1}"
}

# on a port of its own, and without the context that the user has
say 'skiff up'
skiff up --no-kubeconfig --port 26443 2>/dev/null | head -1
echo
run 'kubectl apply -f examples/web.yaml' 2.5
columns='-o custom-columns=NAME:.metadata.name,STATUS:.status.phase,IP:.status.podIP,NODE:.spec.nodeName'
run "kubectl get pods $columns" 2
run 'skiff node kill node-2' 6
clear
run 'kubectl get nodes' 1
run "kubectl get pods $columns" 3
run 'skiff node start node-2' 3
run 'kubectl get nodes' 1
run 'kubectl get events --field-selector reason=NodeNotReady' 3
