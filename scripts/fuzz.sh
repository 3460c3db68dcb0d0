#!/bin/sh
# Runs every fuzz target of the module for some time each, one after the other. Usage: scripts/fuzz.sh TIME
set -eu

fuzztime=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# go test -list prints the targets of a package, then "ok <package>".
go test -list '^Fuzz' ./... >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}
targets=$(awk '/^Fuzz/ { name[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2 ":" name[i]; n = 0 }' "$log")
if [ -z "$targets" ]; then
	echo "No fuzz target found." >&2
	exit 1
fi

failed=
for target in $targets; do
	package=${target%:*}
	name=${target##*:}
	echo "== $name in $package, $fuzztime"
	# Minimising each interesting input for its default minute would leave no time to fuzz.
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" -fuzzminimizetime 5x "$package" >"$log" 2>&1; then
		tail -n 3 "$log"
		continue
	fi
	# Up to Go 1.26 a run may end with this error and no finding, when its time is up: go.dev/issue/75804.
	if grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input written' "$log" &&
		! grep -q 'panic: ' "$log"; then
		echo "   time was up, no finding (go.dev/issue/75804)"
		continue
	fi
	cat "$log"
	# A worker that spends 10 s on one input is ended as one that hangs, which one without a processor does too. That
	# is a finding unless the input passes by itself, twenty times within a minute.
	input=$(sed -n 's/^ *go test -run=\(.*\)$/\1/p' "$log" | head -n 1)
	if [ -n "$input" ] && grep -q 'fuzzing process hung or terminated unexpectedly' "$log" && ! grep -q 'panic: ' "$log" &&
		go test -run "^$(printf %s "$input" | sed 's,/,$/^,')\$" -count 20 -timeout 60s "$package"; then
		rm -f "$(go list -f '{{.Dir}}' "$package")/testdata/fuzz/$input"
		echo "   $input passes by itself: no finding"
		continue
	fi
	failed="$failed $name"
done
[ -z "$failed" ] || {
	echo "Fuzzing failed:$failed" >&2
	exit 1
}
