// Package json reads JSON documents, and lines of them, as strictly as jsontext.
package json

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// Parse is a format.Parse: the whole document is one unit. Its fault codes are
// those of jsontext.
func Parse(body []byte, _ *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		tree, fault := jsontext.Read(body)
		yield(format.Unit{Tree: tree, Where: "document", Fault: fault})
	}
}

// Lines is a format.Parse of newline-delimited JSON (ndjson): each line that is
// not blank is a unit, and a fault in one costs no more than its line. Codes are
// those of Parse, and ndjson_lines for a message with too many.
func Lines(body []byte, src *policy.Source) iter.Seq[format.Unit] { return Part(body, src, 1) }

// Part is Lines of a part of a file, which begins in line first of the file, from 1.
func Part(body []byte, _ *policy.Source, first int) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		body, fault := jsontext.Text(body)
		if fault != nil {
			yield(format.Unit{Where: "message", Fault: fault})
			return
		}
		if n := bytes.Count(body, []byte("\n")); n > format.MaxRows {
			yield(format.Unit{Where: "message", Fault: format.Faultf("ndjson_lines", "%d lines, more than %d", n, format.MaxRows)})
			return
		}
		n := first - 1
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			n++
			line = bytes.TrimRight(line, "\r")
			if len(bytes.TrimLeft(line, " \t\r")) == 0 {
				continue
			}
			tree, fault := jsontext.ReadLine(line, n)
			if !yield(format.Unit{Tree: tree, Where: fmt.Sprintf("line %d", n), Fault: fault}) {
				return
			}
		}
	}
}
