// Package bench measures the atp service on real Kafka beside a bare franz-go
// exactly-once loop over the same records in the same run. make bench runs it; it
// prints a table and writes bench.json.
package bench
