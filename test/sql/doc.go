// Package sql shows that rows of a partner's PostgreSQL come out of it once and all:
// whatever order their transactions end in, whoever reads beside, and whatever dies
// between the log's ack and the mark. The server is a real one.
package sql
