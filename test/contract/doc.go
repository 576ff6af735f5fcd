// Package contract puts adapters through their contract suites against the real
// systems; the suites themselves lie beside the adapters.
package contract
