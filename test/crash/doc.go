// Package crash ends the ledger's worker with kill -9 at named points of its work,
// on three real brokers, and proves that nothing of it shows: each event has one
// outcome, and state, positions and outcomes are those of an undisturbed fold of the
// same log. STOCKWEAVE_FAULTS=long makes the long run; CRASHES is how often a point
// is struck.
package crash
