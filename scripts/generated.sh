#!/bin/sh
# Fails if go generate changes any file: then a generated one was not up to date, and now is.
set -eu

git rev-parse --git-dir >/dev/null # without a repository there would be nothing to compare

sums() { git ls-files -z --cached --others --exclude-standard | xargs -0 cksum 2>/dev/null | sort -k 3; }

before=$(mktemp)
after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT

sums >"$before"
go generate ./...
sums >"$after"
if ! changed=$(diff "$before" "$after"); then
	echo "Generated files were not up to date; go generate ./... has just renewed them:" >&2
	echo "$changed" | sed -n 's/^> [0-9]* [0-9]* /  /p' >&2
	exit 1
fi
