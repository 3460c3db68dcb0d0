#!/bin/sh
# Makes sure that programs are there, and installs those that are missing with the system's own package manager.
# Usage: scripts/need.sh PROGRAM...    (redis-server strace promtool prometheus gcc git)
set -eu

package() { # package MANAGER PROGRAM: the package that has the program
	case "$1:$2" in
	apt-get:redis-server) echo redis-server ;;
	apt-get:promtool) echo prometheus ;;
	apt-get:gcc) echo gcc libc6-dev ;;
	brew:redis-server) echo redis ;;
	brew:promtool) echo prometheus ;;
	*:*) echo "$2" ;;
	esac
}

missing=
for program in "$@"; do
	command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
	manager=apt-get
elif command -v brew >/dev/null 2>&1; then
	manager=brew
else
	echo "Not found:$missing. Install with your package manager, then run this again." >&2
	exit 1
fi

packages=
for program in $missing; do
	packages="$packages $(package "$manager" "$program")"
done

run=
if [ "$manager" = apt-get ] && [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "Not found:$missing. As root, run: apt-get install$packages" >&2
		exit 1
	fi
	run="sudo"
fi

echo "Not found:$missing. Installing with $manager:$packages"
if [ "$manager" = apt-get ]; then
	$run apt-get update -q || echo "apt-get update failed; trying to install all the same" >&2
	# shellcheck disable=SC2086 # words on purpose
	$run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
else
	# shellcheck disable=SC2086 # words on purpose
	brew install $packages
fi

for program in $missing; do
	command -v "$program" >/dev/null 2>&1 || {
		echo "Installed$packages, but $program is still not on the PATH." >&2
		exit 1
	}
done
