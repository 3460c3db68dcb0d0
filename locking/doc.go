// Package locking is the vocabulary of lock-sidecar: the key, record, change
// and outcome that every other package speaks of, and the Store they are kept
// in. It knows how Atlantis names its records and who owns one; it knows no
// database and no protocol, and imports nothing of this module.
//
// A value is opaque bytes, stored and returned byte for byte, and it is a
// secret: Atlantis puts a clone URL with a token into it. Nothing here prints
// one.
package locking
