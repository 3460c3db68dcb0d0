#!/bin/sh
# Builds the binary of a release twice, from two copies of the sources and with an empty build cache each, and fails if
# they differ. Takes some minutes.
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for copy in one another; do
	mkdir "$dir/$copy"
	git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - | tar xf - -C "$dir/$copy"
	(cd "$dir/$copy" && GOCACHE="$dir/cache-$copy" CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=v0.0.0 -X main.revision=0000000" -o "$dir/$copy.bin" ./cmd/lock-sidecar)
	rm -rf "$dir/cache-$copy"
done
cmp "$dir/one.bin" "$dir/another.bin"
echo "both builds are the same: $(cksum <"$dir/one.bin")"
