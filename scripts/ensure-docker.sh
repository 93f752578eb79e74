#!/usr/bin/env bash
# Sees to it that a Docker engine answers: starts the one that is installed, installs Debian's or Ubuntu's where there is none and we may.
# Where neither can be done it says so, and what else works.
set -euo pipefail
answers() { docker info >/dev/null 2>&1; }
give_up() { echo "skiff: $1 Install Docker, or try skiff without containers: target/release/skiff up --runtime sim" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif sudo -n true 2>/dev/null; then sudo "$@"; else give_up "there is no Docker engine, and installing one needs root."; fi; }

answers && exit 0
if ! command -v dockerd >/dev/null 2>&1; then
  command -v apt-get >/dev/null 2>&1 || give_up "there is no Docker engine, and no apt-get to install one."
  echo "skiff: installing Docker (apt-get install docker.io)" >&2
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables iproute2 ca-certificates >/dev/null
fi
answers && exit 0
echo "skiff: starting the Docker engine" >&2
if [ -d /run/systemd/system ]; then
  as_root systemctl start docker
else
  # No service manager: the engine runs by itself, detached from this terminal. A pid file left by one that was killed would stop it.
  pid=$(cat /var/run/docker.pid 2>/dev/null || true)
  if [ -n "$pid" ] && [ ! -d "/proc/$pid" ]; then as_root rm -f /var/run/docker.pid; fi
  as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
fi
for _ in $(seq 150); do answers && exit 0; sleep 0.2; done
give_up "the Docker engine does not start (see /var/log/dockerd.log)."
