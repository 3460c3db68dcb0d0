// Package compare puts what two stores did or hold side by side. It owns what
// a divergence is, the rules that ignore some, the ledger of what was compared
// (the evidence that a migration rests on, bound to one store), and the log of
// divergences on disk.
//
// It never changes a store, nor asks one: records and outcomes are handed in. A
// comparison that could not be made is not reported here and counts as nothing.
// Holders and digests leave this package, values never do.
package compare
