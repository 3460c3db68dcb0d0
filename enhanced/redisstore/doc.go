// Package redisstore is the enhanced store in Redis (tested with 7.0): a single
// server, one behind sentinels, or a cluster. It owns the layout of the keys and the
// Lua scripts that are the only way to read or write them. It must not know
// modes, other stores or Atlantis's protocol, and it never reads a clock to
// decide anything.
//
// The records live in 16 partitions by the hash of their route. NN is the
// partition in two digits; in braces it is Redis's hash tag, so that all keys
// of a partition share a slot and one script can change them together.
//
//	{prefix}head:{NN}            hash: schema, store, owner, admitted, epoch, epoch:<id>, seq, taken, claimed
//	{prefix}index:{NN}           sorted set: wire key of every record, score 0
//	{prefix}lock:{NN}:<rest>     hash: a project lock, pr/<rest> on the wire
//	{prefix}command:{NN}:<rest>  hash: a command lock, global/<rest>
//	{prefix}pull:{NN}:<wire key> hash: a pull status
//	{prefix}mode                 hash: epoch, document; of the whole store
//
// {prefix} stands for the configured prefix, without braces of its own. The
// fields of a record are raw (the value, and the only truth about it), version,
// fence, epoch, op, origin, acquired_at (milliseconds, display only),
// owner_num, owner_host, owner_repo: what [locking.OwnerOf] reads in raw; and by
// and seal, which tell a record that this sidecar wrote from any other.
//
// # Rules
//
// Every script checks the head before anything else, reading ones too, so that
// a flushed, swapped or older store is [locking.ErrStoreLost], one of
// another sidecar [locking.ErrNotOwner], and a newer epoch
// [locking.ErrStale]: never an absent record. The owner and those that it has
// admitted pass, each with an epoch of its own; seq is shared. Contents that are
// lost are made anew by their owner alone.
//
// seq grows by one for each record that is written or deleted, and is the
// version of what was written. A fence is the version at which the present
// owner took the record.
//
// A write without an answer is [locking.ErrUnknownResult], and is never
// sent again. Before anything else is done in its partition, the epoch in the
// head is raised, so that the write is refused should it arrive later. A write
// that is refused because this very process has raised the epoch under it, in
// Probe for one, did nothing and is sent again.
//
// Every error other than ErrUnknownResult of a change means that nothing was
// written. Redis can refuse the first write of a script (full, read-only,
// failing disk) but completes one that has begun; what is left, a permission
// that is missing for a later write, the script reports for what it is.
//
// Nothing has a TTL, no script uses KEYS or SCAN, and no key is touched that
// was not declared.
package redisstore
