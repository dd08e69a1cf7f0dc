#!/bin/sh
# Builds the image where no Docker runs: Debian's buildah, as root, without user namespaces.
#
#   deploy/buildah.sh IMAGE [BASE_FOLDER]
#
# Where the base image of the Dockerfile is not there already, it is made of Debian bookworm by debootstrap, in
# BASE_FOLDER (a temporary one by default). Certificates of this machine are mounted while building, so that pip may go
# through a proxy that it trusts.
set -eu

image=${1:?usage: deploy/buildah.sh IMAGE [BASE_FOLDER]}
root=$(cd "$(dirname "$0")/.." && pwd)
base=docker.io/library/python:3.11-slim
export STORAGE_DRIVER="${STORAGE_DRIVER:-vfs}" BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  folder=${2:-$(mktemp -d)}
  if [ ! -x "$folder/usr/bin/python3" ]; then
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder" >&2
  fi
  container=$(buildah from scratch)
  tar -C "$folder" -cf - . >"${folder%/}.tar"
  buildah add "$container" "${folder%/}.tar" / >/dev/null
  rm "${folder%/}.tar"
  buildah run "$container" ln -sf python3 /usr/bin/python
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --rm "$container" "$base" >/dev/null
fi

# The format with health checks.
set -- --format docker --pull-never --network host -v /etc/ssl/certs:/etc/ssl/certs:ro -t "$image"
for file in "${PIP_CONFIG_FILE:-}" "${HOME:-}/.config/pip/pip.conf" /etc/pip.conf; do
  [ -f "$file" ] && set -- "$@" -v "$file:/etc/pip.conf:ro" && break
done
buildah bud "$@" "$root"
