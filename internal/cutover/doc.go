// Package cutover decides which store answers, and changes that while commands
// go on: flips under a barrier, the fallback when the enhanced store fails, the
// return, and how a start goes on. Read it in this order:
//
//   - keeper.go: what the keeper is, and its loop.
//   - resume.go: how a start goes on, as a pure function; start.go does it.
//   - barrier.go: the one way in which routes move from a store to the other.
//   - flip.go: from a mode to each other mode.
//   - leave.go: the enhanced store has failed. comeback.go: it is back.
//   - readiness.go: what a flip upwards wants. drill.go: rehearsals.
//
// It must not touch records but through the router and the reconciler.
package cutover
