//go:build !race

package sidecar

// raceEnabled says whether this test was built with the race detector.
const raceEnabled = false
