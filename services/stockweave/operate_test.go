package main

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

func TestByPartition(t *testing.T) {
	for text, want := range map[string]map[int32]int64{
		"":              {},
		"0:41":          {0: 41},
		"0:41,2:none":   {0: 41, 2: -1},
		"1:0,0:7":       {0: 7, 1: 0},
		"0":             nil,
		"0:":            nil,
		"x:1":           nil,
		"-1:1":          nil,
		"0:-1":          nil,
		"0:1,0:2":       nil,
		"0:1,":          nil,
		"0:first":       nil,
		"99999999999:1": nil,
	} {
		got, err := byPartition(text, "none")
		switch {
		case want == nil && !errors.Is(err, errMisuse):
			t.Errorf("%q: %v, %v; want misuse", text, got, err)
		case want != nil && (err != nil || !maps.Equal(got, want)):
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		case want != nil:
			back, err := byPartition(partitionsText("none", got), "none")
			if err != nil || !maps.Equal(back, want) {
				t.Errorf("%q comes back as %v, %v", text, back, err)
			}
		}
	}
}

// Nothing that changes topics is done by a slip of the hand.
func TestOperatingNeedsYes(t *testing.T) {
	st := staged(t)
	// The one test here whose commands find everything by the environment.
	t.Setenv("STOCKWEAVE_KAFKA_BROKERS", strings.Join(st.cfg.Kafka.Brokers, ","))
	t.Setenv("STOCKWEAVE_REDIS_ADDRESSES", strings.Join(st.cfg.Redis.Addresses, ","))
	for _, tc := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"replay"}, exitMisuse, "--shadow must be a name"},
		{[]string{"replay", "--shadow", "A b"}, exitMisuse, "--shadow must be a name"},
		{[]string{"replay", "--shadow", "x", "--promote"}, exitMisuse, "--yes"},
		{[]string{"replay", "--shadow", "x", "--drop"}, exitMisuse, "--yes"},
		{[]string{"replay", "--shadow", "x", "--drop", "--promote", "--yes"}, exitMisuse, "promoted or dropped"},
		{[]string{"replay", "--shadow", "x", "--accept", "1"}, exitMisuse, "--accept is for --promote"},
		{[]string{"repartition"}, exitMisuse, "--partitions"},
		{[]string{"repartition", "--partitions", "12"}, exitMisuse, "--yes"},
		{[]string{"cutover"}, exitOK, "there is nothing to cut over"},
		{[]string{"cutover", "--old", "0:x"}, exitMisuse, "partition:offset"},
		{[]string{"cutover", "--start", "0:1", "--yes"}, exitMisuse, "--old does not"},
		{[]string{"topics", "list"}, exitOK, "generation 0 (in use)"},
		{[]string{"topics", "use", "--generation", "4"}, exitMisuse, "no generation 4"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), tc.args, &out, &errs)
		if code != tc.code || !strings.Contains(out.String()+errs.String(), tc.say) {
			t.Errorf("%v: exit %d, want %d and %q: %s%s", tc.args, code, tc.code, tc.say, out.String(), errs.String())
		}
	}

	// Beside the platform at work a shadow is the same.
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"replay", "--shadow", "x"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "identical") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	codecs, err := loadCodecs(t.Context(), st.cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	first, err := publishGeneration(t.Context(), st.cfg.Kafka, codecs, generation{}, stream.Aliases{event.TopicViews: "views.x"}, time.Now())
	if err != nil || first.Number != 1 {
		t.Fatal(first, err)
	}
	if _, err := publishGeneration(t.Context(), st.cfg.Kafka, codecs, generation{}, nil, time.Now()); err == nil {
		t.Error("two commands published the same generation")
	}
	all, err := generations(t.Context(), st.cfg.Kafka, codecs)
	if err != nil || len(all) != 2 || all[1].Aliases[event.TopicViews] != "views.x" {
		t.Error(all, err)
	}
}

// A word without a name behind it is nobody's.
func TestABlankAuthorIsNone(t *testing.T) {
	for _, args := range [][]string{
		{"approve", "e1", "--item", "acme/SKU-1", "--apply", "--author", " "},
		{"thaw", "acme/SKU-1", "--author", "\t"},
		{"snapshots", "approve", "count/C", "--source", "wms", "--location", "DC1", "--author", " "},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, &out); code != exitMisuse || !strings.Contains(out.String(), "--author is needed") {
			t.Errorf("%v: exit %d: %s", args, code, out.String())
		}
	}
}
