// Package embedded is the enhanced store without a server: a BoltDB file,
// enhanced.db, in the data directory. It is the enhanced store where no Redis is
// configured, and the executable specification of redisstore: the same heads,
// records and rules, and what differs is where they lie.
//
//	head       partition (two digits) → schema, epoch, seq, store, owner; mode → epoch, document
//	00 … 15    wire key → version, fence, epoch, acquired_at, op, origin, raw
//
// All changes are made by whoever has the turn, in one write transaction that
// stays open until it is committed: at once, where an answer must be durable, or
// behind, where a follower must not take the disk from the authority. Where they
// must be durable reads go on beside a commit, and wait for it only if they rest
// on what it changes. A commit
// that fails leaves open what is in the file; then nothing works until Join has
// found out.
//
// The lock of the file keeps every other process out, so locking.ErrStale has no
// occasion here.
//
// The package decides nothing about modes and knows no other store.
package embedded
