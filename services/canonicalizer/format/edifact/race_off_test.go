//go:build !race

package edifact

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
