#!/usr/bin/env bash
# Pushes the image by digest, then tags it.
set -euo pipefail
image="{{image}}"
[[ -e $image ]] || image="${BASH_SOURCE[0]}.runfiles/synapse_worker_image/$image"
repository="{{repository}}"
tags=()
while (($#)); do
  case $1 in
    -r | --repository) repository=$2 && shift 2 ;;
    --repository=*) repository=${1#*=} && shift ;;
    -t | --tag) tags+=("$2") && shift 2 ;;
    --tag=*) tags+=("${1#*=}") && shift ;;
    *) printf 'error: %s: unknown argument\n' "$1" >&2 && exit 2 ;;
  esac
done
digest=$(sed -n 's/.*"digest": "\(sha256:[0-9a-f]*\)".*/\1/p' "$image/index.json" | head -n 1)
# crane does not follow symlinks that point out of a layout.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -rL "$image/." "$copy"
crane push "$copy" "$repository@$digest"
for tag in "${tags[@]}"; do
  crane tag "$repository@$digest" "$tag"
done
