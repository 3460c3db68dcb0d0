// Package locks is what operators see of Atlantis's project locks, and how they
// take one away. It owns the ids by which locks are named outside, what of a
// lock's JSON may be shown, and the rule that a lock goes through Atlantis: a
// record that is deleted behind its back leaves a plan that can be applied.
//
// It must not know which store it reads. No value, and nothing of one that could
// hold a secret, leaves it.
package locks
