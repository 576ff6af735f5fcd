// Package road is the end-to-end test: real messages into the built services on
// real Kafka, registry, Redis and ERP, and the figures that come out at every end.
package road
