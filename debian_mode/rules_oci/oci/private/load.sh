#!/usr/bin/env bash
# Loads the image into docker or, if that fails, into podman.
set -euo pipefail
tarball="{{tarball}}"
[[ -e $tarball ]] || tarball="${BASH_SOURCE[0]}.runfiles/synapse_worker_image/$tarball"
refused=""
for engine in docker podman; do
  command -v "$engine" >/dev/null || continue
  if words=$("$engine" load --input "$tarball" 2>&1); then
    printf '%s\n' "$words"
    exit 0
  fi
  refused+="; $engine: ${words##*$'\n'}"
done
if [[ -n $refused ]]; then
  printf 'error: no container engine took the image%s\n' "$refused" >&2
else
  printf 'error: neither docker nor podman is on PATH; install one, or use the layout in bazel-bin/image/image\n' >&2
fi
exit 1
