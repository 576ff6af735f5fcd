//go:build !race

package x12

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
