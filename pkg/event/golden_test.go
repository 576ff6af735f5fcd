package event

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/schemas"
)

var update = flag.Bool("update", false, "write golden files of the latest schema versions that have none")

// TestGolden decodes what each released version wrote: testdata/golden holds, by
// topic and version, a payload in hex and the record it stands for. Files are
// written once, for a new version, and never again.
func TestGolden(t *testing.T) {
	c := testCodecs(t)
	all := samples(c)
	if *update {
		for _, s := range all {
			writeGolden(t, s)
		}
	}
	versions := map[string]bool{}
	for _, s := range all {
		paths, err := filepath.Glob(filepath.Join("testdata", "golden", s.topic, "*-"+s.name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			version, _, _ := strings.Cut(filepath.Base(path), "-")
			versions[s.topic+"/"+version] = true
			readGolden(t, s, path, version)
		}
	}
	for _, s := range schemas.All() {
		if v := goldenVersion(s); !versions[v] {
			t.Errorf("%s has no golden file; go test -run TestGolden -update writes it", v)
		}
	}
}

func goldenVersion(s schemas.Schema) string {
	return s.Topic + "/" + strconv.Itoa(s.Version)
}

func readGolden(t *testing.T, s sample, path, version string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	prefix := goldenPrefix(t, s.topic, version)
	got, err := s.decode(append(prefix, payload...))
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	text, err = os.ReadFile(strings.TrimSuffix(path, ".hex") + ".json")
	if err != nil {
		t.Fatal(err)
	}
	want := reflect.New(reflect.TypeOf(got).Elem()).Interface()
	if err := json.Unmarshal(regrouped(t, text), want); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got  %+v\nwant %+v", path, got, want)
	}
}

// regrouped is a golden record with the fields of a LocationState where it has them now: it
// had those of its More itself when the files were written.
func regrouped(t *testing.T, text []byte) []byte {
	t.Helper()
	var all any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // quantities are not to be rounded
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	var walk func(x any)
	walk = func(x any) {
		switch x := x.(type) {
		case []any:
			for _, v := range x {
				walk(v)
			}
		case map[string]any:
			for _, v := range x {
				walk(v)
			}
			if _, ok := x["States"]; !ok || x["More"] != nil {
				return
			}
			more := map[string]any{}
			for _, name := range []string{"HasSafety", "Safety", "Reserved", "Supply", "LastCount", "JournalCount", "Trimmed"} {
				if v, ok := x[name]; ok {
					more[name] = v
				}
			}
			x["More"] = more
		}
	}
	walk(all)
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// goldenPrefix is the wire prefix of a topic's version among the local ids.
func goldenPrefix(t *testing.T, topic, version string) []byte {
	t.Helper()
	for i, s := range schemas.All() {
		if goldenVersion(s) == topic+"/"+version {
			return binary.BigEndian.AppendUint32([]byte{0}, uint32(i+1))
		}
	}
	t.Fatalf("golden files of %s version %s, which does not exist", topic, version)
	return nil
}

func writeGolden(t *testing.T, s sample) {
	t.Helper()
	latest, _ := schemas.Latest(s.topic)
	_, version, _ := strings.Cut(goldenVersion(latest), "/")
	base := filepath.Join("testdata", "golden", s.topic, version+"-"+s.name)
	if _, err := os.Stat(base + ".hex"); err == nil {
		return
	}
	value, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for payload := value[prefixSize:]; len(payload) > 0; payload = payload[min(32, len(payload)):] {
		text.WriteString(hex.EncodeToString(payload[:min(32, len(payload))]) + "\n")
	}
	record, err := json.MarshalIndent(s.value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{base + ".hex": text.String(), base + ".json": string(record) + "\n"} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
