// Package mutation breaks the product on purpose, one line at a time, and wants a test to notice each: a net is worth
// what it catches. The mutations are data; the tree is never touched, because the go command takes a changed file as an
// overlay. "make mutations" runs them all.
package mutation

// mutation is one mistake.
type mutation struct {
	name string // what the product does with it, as a sentence
	file string // from the root of the repository
	old  string // found in the file exactly once
	new  string
	pkg  string // whose tests notice it
	run  string // the test that is known to notice it; the others of the package are not run
	tags string // build tags that the test stands behind
}
