// Package reserve makes reservations over HTTP on the built services, real Kafka and
// real Redis, and watches the number that may be promised.
package reserve
