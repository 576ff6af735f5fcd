package ingest

import (
	"math"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

func TestEveryFormatHasContentTypes(t *testing.T) {
	for _, f := range policy.Formats() {
		if len(contentTypes(&policy.Source{Format: f})) == 0 {
			t.Errorf("the door takes no %s", f)
		}
	}
}

func TestCharset(t *testing.T) {
	for _, tc := range []struct {
		format, encoding, charset string
		want                      bool
	}{
		{policy.FormatCSV, "", "UTF-8", true},
		{policy.FormatCSV, "", "us-ascii", true},
		{policy.FormatCSV, "", "iso-8859-1", false},
		{policy.FormatCSV, policy.Latin1, "ISO-8859-1", true},
		{policy.FormatCSV, policy.Latin1, "utf-16", false},
		{policy.FormatJSON, "", "iso-8859-1", false},
		{policy.FormatXML, "", "ISO-8859-1", true},
		{policy.FormatEPCIS, "", "utf-16", true},
		{policy.FormatXML, "", "ebcdic-cp-us", false},
	} {
		if got := charsetOK(&policy.Source{Format: tc.format, Encoding: tc.encoding}, tc.charset); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// What a sender says of the length of a body costs little memory before the body is there.
func TestStatedLengthIsNotBelieved(t *testing.T) {
	for _, stated := range []int64{math.MinInt64, -1, 0, 1, 1 << 30, math.MaxInt64} {
		b, err := readAll(strings.NewReader("body"), stated, 100)
		if err != nil || string(b) != "body" || cap(b) > 2*mostStated {
			t.Errorf("%d: %q, %v, %d bytes", stated, b, err, cap(b))
		}
	}
}
