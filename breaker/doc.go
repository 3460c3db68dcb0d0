// Package breaker is a guard around a store, and a store itself: it gives each
// operation a budget of time, stops asking a store that keeps failing, and
// turns a panic in the store into an error. The state machine is sony/gobreaker.
//
// Only failures of the infrastructure count. That a condition did not hold, a
// record is not there or a batch is none are answers. It does not decide who
// answers Atlantis, and tries nothing twice.
package breaker
