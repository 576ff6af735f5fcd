// Package kill shows that nothing is lost, doubled or bent when processes die: the
// same messages go down the road of the built binary twice, once undisturbed and
// once while every service is killed with SIGKILL in the middle of its work and
// Redis is emptied. Quantities, claims, ERP documents and channel values must be
// those that the independent fold expects, and the state that atp rebuilds from
// the same log must be byte-identical to the one it had.
//
// Each kill is asserted to have hit: an open transaction, a call in flight, or
// records worked off and not committed. STOCKWEAVE_FAULTS=long makes the long run.
package kill
