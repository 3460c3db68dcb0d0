package sidecar

// What only this package's own tests look at.
var (
	CheckOutput = checkOutput
	ParseSeries = parseSeries
)
