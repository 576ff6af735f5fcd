// Package files drops files of 200,000 lines into a folder and onto a real SFTP server,
// ends ingest with kill -9 at named points while it takes them, and proves that every
// line is one event behind the canonicalizer, which the ledger applies once.
// STOCKWEAVE_FAULTS=long strikes each point more often.
package files
