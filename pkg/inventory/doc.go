// Package inventory is the language of Stockweave and its only place for stock
// rules: a double-entry ledger of one item of one legal entity, demand lines kept
// as cumulatives, counts that are right in any order, and available-to-promise.
//
// It is pure. It imports a handful of packages of the standard library, does no
// I/O, reads no clock, and carries no encoding: every time is an argument, every
// result a value. The words are those of GLOSSARY.md.
package inventory
