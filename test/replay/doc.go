// Package replay proves on a real broker what an operator does between two lives of
// the ledger: replay it beside itself, cut it over to another log, and move it to
// another partition count.
package replay
