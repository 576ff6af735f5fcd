package policy

// Latency classes. Each has a topic and a consumer group of its own from the door to
// the ledger (EXACTLY-ONCE §9); a source belongs to one.
const (
	// LatencyRealTime is for what people and shops wait for.
	LatencyRealTime = "real-time"
	// LatencyBulk is for whole files, of counts say: they stand while the ledger is
	// behind, so that nobody waits for them.
	LatencyBulk = "bulk"
	// LatencyScheduled is for flows that have their time of day: accepted at once, with
	// what is bulk, and worked on in the source's windows.
	LatencyScheduled = "scheduled"
)
