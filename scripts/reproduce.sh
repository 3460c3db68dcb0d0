#!/bin/sh
# Show a defect on the commit before its fix: sh scripts/reproduce.sh FIX PACKAGE TEST
# The tree before FIX gets the tests and testdata of FIX for the package, and the test is run: it fails, as the fix is missing.
# Where the tests ask something that FIX added, reproduce/FIX.patch lets them build, and makes the moment of a race longer. The track record in docs/testing.md has the
# arguments. Leaves nothing behind; the exit code is that of go test.
set -eu
[ $# = 3 ] || { echo "usage: sh scripts/reproduce.sh FIX PACKAGE TEST" >&2; exit 2; }
fix=$1 package=${2#./} test=$3
patch=$(cd "$(dirname "$0")" && pwd)/reproduce/$fix.patch
before=$(mktemp -d)
trap 'git worktree remove --force "$before/tree" 2>/dev/null; rm -rf "$before"' EXIT
git worktree add --quiet --detach "$before/tree" "$fix~1"
cd "$before/tree"
git diff --name-only --diff-filter=AM "$fix~1" "$fix" -- "$package" | grep -E '_test\.go$|/testdata/' | while read -r file; do
	git checkout --quiet "$fix" -- "$file"
done
[ ! -f "$patch" ] || git apply "$patch"
go test -count=1 -run "$test" "./$package"
