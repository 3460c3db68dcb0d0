// Package torture lets many simulated Atlantis of all version groups work on the built lock-sidecar and a real Redis
// while faults are injected, and holds every answer, and at rest both stores, to what may be. docs/testing.md says how
// to run it and how to read what it says. It must not import any package of the product.
package torture
