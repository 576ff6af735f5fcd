package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/stream"
)

// An abort names exactly one transaction, in one of two ways.
func TestTxnAbortMisuse(t *testing.T) {
	for _, args := range []string{
		"",
		"--yes",
		"--id a --topic t --partition 0 --producer 1 --yes",
		"--id a --topic t --yes",
		"--id a --producer 1 --yes",
		"--topic t --partition 0 --yes",
		"--topic t --producer 1 --yes",
		"--partition 0 --producer 1 --yes",
		"--topic t --partition 4294967296 --producer 1 --yes",
	} {
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"txn", "abort"}, strings.Fields(args)...), &out, &out); code != exitMisuse || !strings.Contains(out.String(), "either --id") {
			t.Errorf("%q: exit %d, output %s", args, code, out.String())
		}
	}
}

func TestTopicsOf(t *testing.T) {
	for want, parts := range map[string][]stream.TxnPartition{
		"-":             nil,
		"a[3]":          {{Topic: "a", Partition: 3}},
		"a[0,3] b[1,2]": {{Topic: "b", Partition: 2}, {Topic: "a", Partition: 3}, {Topic: "a", Partition: 0}, {Topic: "b", Partition: 1}},
	} {
		if got := topicsOf(parts); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
