package shadow

import "github.com/lock-sidecar/lock-sidecar/locking"

// Versions are each store's own. What leaves the router has the epoch in which it
// was read in the version's upper bits, so that a condition on a version never
// holds for a record of the other store that happens to have the same number.
const (
	epochBits    = 16
	versionBits  = 64 - epochBits
	versionMask  = 1<<versionBits - 1
	unmetVersion = 1<<64 - 1 // of no record
)

func tag(version, epoch uint64) uint64 {
	if version == 0 {
		return 0
	}
	return version&versionMask | epoch<<versionBits
}

func tagged(r locking.Record, epoch uint64) locking.Record {
	r.Version = tag(r.Version, epoch)
	return r
}

// untagged returns the changes with conditions as the store of this epoch knows
// versions: one that was read in another epoch holds for nothing.
func untagged(changes []locking.Change, epoch uint64) []locking.Change {
	own := make([]locking.Change, len(changes))
	for i, c := range changes {
		if kind, _, version, _ := c.If.Parts(); kind == locking.IfVersion {
			if version>>versionBits == epoch%(1<<epochBits) {
				version &= versionMask
			} else {
				version = unmetVersion
			}
			c.If = locking.AtVersion(version)
		}
		own[i] = c
	}
	return own
}
