// Package legacy keeps records in Atlantis's own BoltDB file, atlantis.db,
// with the buckets, keys, bytes and file mode that Atlantis's BoltDB backend
// uses: stop the sidecar and plain Atlantis opens the file and finds its locks.
//
// The sidecar's own bucket, "lock-sidecar", which Atlantis ignores, holds a
// schema number, the ids of the store and its owner, the version of each
// record, the id of our last transaction, and the document that says who
// answers. A file whose last transaction is not ours was written by somebody
// else meanwhile.
//
// Writes go through one goroutine that commits whatever has queued up in one
// transaction: concurrent writes share an fsync and a lone write waits for
// nobody. What a read returns is durable, also while a commit is under way.
//
// The package does not know what a mode is, other stores, or what Atlantis means by a
// record beyond its kind.
package legacy
