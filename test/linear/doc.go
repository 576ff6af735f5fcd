// Package linear puts requests over one and several items to the ledger on a real
// broker, from five channels at once, through the kill of a worker. Each item's history
// must be one that some order of its requests explains, nothing may be oversold, and in
// the end nothing may be left claimed.
package linear
