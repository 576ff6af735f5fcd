// Package apifuzz lets schemathesis ask the ATP API, with the ledger behind it on real
// Kafka and real Redis, all that its document allows, and more.
package apifuzz
