//go:build race

package canonicalizer

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
