// Package atlantis is what Atlantis puts on the wire: its keys, the JSON of its
// records, and the Redis commands that it sends. It turns each command into
// reads and changes of a locking.Store, by the rules of Atlantis on BoltDB
// rather than those of its Redis backend: two pull requests can't both take a
// lock, a listing shows locks only, a pull request that closes gives up its own
// locks only, and a late DEL does not remove the next holder's lock.
//
// It does not know which store it talks to, and no store's own API.
package atlantis
