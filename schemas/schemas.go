// Package schemas embeds the released Avro schemas of every topic and names
// them. A released file never changes; see README.md.
package schemas

import (
	"cmp"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed */*.avsc
var files embed.FS

// Schema is one version of a topic's value schema.
type Schema struct {
	Topic   string
	Version int    // from 1, without gaps
	Text    string // Avro JSON, as released
}

// Subject is the name the registry knows the schema by: TopicNameStrategy.
func (s Schema) Subject() string { return Subject(s.Topic) }

// Subject is the registry's name for a topic's values.
func Subject(topic string) string { return topic + "-value" }

// All returns every released schema, sorted by topic, then version. The caller
// owns the slice.
func All() []Schema { return released("*") }

// Of returns the released schemas of a topic by version. The caller owns the slice.
func Of(topic string) []Schema { return released(topic) }

func released(topic string) []Schema {
	names, err := fs.Glob(files, topic+"/*.avsc")
	if err != nil {
		return nil // a malformed pattern names no topic
	}
	all := make([]Schema, 0, len(names))
	for _, name := range names {
		version, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), ".avsc"))
		text, errRead := files.ReadFile(name)
		if err != nil || errRead != nil {
			continue // TestNames fails on a file that is not named by its version
		}
		all = append(all, Schema{Topic: path.Dir(name), Version: version, Text: string(text)})
	}
	slices.SortFunc(all, func(a, b Schema) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Version, b.Version))
	})
	return all
}

// Latest returns the newest schema of a topic; false where it has none.
func Latest(topic string) (Schema, bool) {
	all := Of(topic)
	if len(all) == 0 {
		return Schema{}, false
	}
	return all[len(all)-1], true
}
