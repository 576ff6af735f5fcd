package doors

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Template makes a name of ours from those of a dialect: "{productId}-{colorId}". The
// zero Template is of no use. It does not change, so it is safe for concurrent use.
type Template struct {
	names    []string
	literals []string // before the first name, between them, and behind the last
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// ParseTemplate reads a template with at least one name. Each stands once, and one
// character stands between two. A name is known in lower case.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{}
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		name := strings.ToLower(text[m[2]:m[3]])
		switch {
		case name == "" || slices.Contains(t.names, name):
			return nil, fmt.Errorf("%q: each name stands once, and is not empty", text)
		case at > 0 && m[0] != at+1:
			return nil, fmt.Errorf("%q: one character has to stand between two names", text)
		}
		t.names, t.literals, at = append(t.names, name), append(t.literals, text[at:m[0]]), m[1]
	}
	t.literals = append(t.literals, text[at:])
	if len(t.names) == 0 {
		return nil, errors.New("there is no {name} in it")
	}
	if strings.ContainsAny(strings.Join(t.literals, ""), "{}") {
		return nil, fmt.Errorf("%q: a brace is not closed or not opened", text)
	}
	return t, nil
}

// Names are those it is made from, in lower case.
func (t *Template) Names() []string { return t.names }

// Fill makes a name. No two sets of values make the same one: read from its end it falls
// apart in one way, since no value but the first has in it the character before it. Its
// fault names the value.
func (t *Template) Fill(value func(name string) string) (string, *Fault) {
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, name := range t.names {
		v := value(name)
		if v == "" || len(v) > MaxName {
			return "", Bad("missing_dimension", "%s: 1 to %d bytes", name, MaxName)
		}
		if i > 0 && strings.Contains(v, t.literals[i]) {
			return "", Bad("ambiguous_dimensions", "%s: %.64q has %q in it, which parts it from what stands before", name, v, t.literals[i])
		}
		b.WriteString(v)
		b.WriteString(t.literals[i+1])
	}
	if b.Len() > MaxName {
		return "", Bad("missing_dimension", "%s: at most %d bytes together", strings.Join(t.names, ", "), MaxName)
	}
	return b.String(), nil
}
