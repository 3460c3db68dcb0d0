package locking

import "bytes"

// Condition says which record a Change may meet. The zero Condition is Any.
type Condition struct {
	kind    ConditionKind
	owner   Owner
	version uint64
	bytes   []byte
}

// ConditionKind says what a Condition looks at.
type ConditionKind uint8

// The kinds of conditions.
const (
	IfAny ConditionKind = iota
	IfAbsent
	IfOwner
	IfVersion
	IfBytes
)

// String is the kind in one word.
func (k ConditionKind) String() string {
	switch k {
	case IfAbsent:
		return "absent"
	case IfOwner:
		return "owner"
	case IfVersion:
		return "version"
	case IfBytes:
		return "bytes"
	}
	return "any"
}

// Any holds always.
func Any() Condition { return Condition{} }

// Absent holds if there is no record.
func Absent() Condition { return Condition{kind: IfAbsent} }

// OwnedBy holds if nobody else owns the record: there is none, or its owner
// is the same as o. A record whose owner cannot be read is somebody else's.
func OwnedBy(o Owner) Condition { return Condition{kind: IfOwner, owner: o} }

// AtVersion holds if the record has exactly this version; version 0 is Absent.
func AtVersion(v uint64) Condition {
	if v == 0 {
		return Absent()
	}
	return Condition{kind: IfVersion, version: v}
}

// SameBytes holds if nothing else is stored: there is no record, or its value
// is exactly b, of which it keeps a copy.
func SameBytes(b []byte) Condition { return Condition{kind: IfBytes, bytes: bytes.Clone(b)} }

// Parts takes the condition apart, for a store that decides it elsewhere than
// in Go: its kind, and the owner, version or bytes of the kinds that have one.
// The bytes are not a copy.
func (c Condition) Parts() (kind ConditionKind, owner Owner, version uint64, value []byte) {
	return c.kind, c.owner, c.version, c.bytes
}

// Holds reports whether the condition holds for the record that a change
// meets; the zero Record means that there is none.
func (c Condition) Holds(current Record) bool {
	switch c.kind {
	case IfAbsent:
		return !current.Exists()
	case IfVersion:
		return current.Version == c.version
	case IfBytes:
		return !current.Exists() || bytes.Equal(current.Value, c.bytes)
	case IfOwner:
		if !current.Exists() {
			return true
		}
		holder, err := OwnerOf(current.Value)
		return err == nil && holder.Same(c.owner)
	}
	return true
}
