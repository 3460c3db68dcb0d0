//go:build !race

package sidecar

// RaceDetector says whether this test, and so the binary it runs, was built with the race detector: both are then some ten
// times slower, and a load that the product takes otherwise is an overload.
const RaceDetector = false
