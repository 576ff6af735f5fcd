package canonicalizer

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

const shipped = "../../policies"

var update = flag.Bool("update", false, "write the expected output of samples")

func load(t testing.TB, dir string) *policy.Set {
	t.Helper()
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestShippedSamples(t *testing.T) {
	if *update {
		writeSamples(t)
	}
	set := load(t, shipped)
	for name, s := range withPartners(set).Sources {
		if len(s.Samples) == 0 {
			t.Errorf("source %s has no sample", name)
		}
	}
	if err := CheckSamples(set); err != nil {
		t.Error(err)
	}
}

// writeSamples makes the expected files; a person reads the difference.
func writeSamples(t *testing.T) {
	t.Helper()
	for _, s := range []string{shipped} {
		files, err := filepath.Glob(filepath.Join(s, "*", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		touchExpected(t, files)
		set := withPartners(load(t, s))
		all, err := programs(set)
		if err != nil {
			t.Fatal(err)
		}
		m, err := sampleMasters(set, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			own, err := m.with(all[name])
			if err != nil {
				t.Fatal(err)
			}
			for _, sample := range all[name].src.Samples {
				got, err := runSample(all[name], sample, own)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(s, filepath.Dir(all[name].src.File), sample.Expected), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// touchExpected makes the files that Load looks for.
func touchExpected(t *testing.T, files []string) {
	t.Helper()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			_, name, ok := strings.Cut(line, "expected: ")
			if !ok {
				continue
			}
			path := filepath.Join(filepath.Dir(f), strings.TrimRight(name, "} "))
			if _, err := os.Stat(path); err == nil {
				continue
			}
			if err := os.WriteFile(path, []byte("{}\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
