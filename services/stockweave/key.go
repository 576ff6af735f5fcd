package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
)

// keyNew makes an API key, prints it once, and what to put into the policies for it.
func keyNew(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("key new", stderr,
		"Prints a new key, which is kept nowhere, and the file of policies/access that lets it in.\n",
		"Another key for the same name goes into the same file: both hold until the old one expires.\n")
	source := fs.String("source", "", "source whose messages the key may write")
	name := fs.String("name", "", "name of the principal; the source's when empty")
	scopes := fs.String("scopes", "", "scopes between commas; messages:write of the source when empty")
	expires := fs.String("expires", "8760h", "when it ends: a duration from now, or a time such as 2027-01-31T00:00:00Z; never")
	from := fs.String("not-before", "", "when it begins, the same; at once when empty")
	if err := parse(fs, args); err != nil {
		return err
	}
	return newKey(stdout, rand.Reader, time.Now(), keyRequest{*name, *source, *scopes, *from, *expires})
}

type keyRequest struct{ name, source, scopes, from, expires string }

func newKey(out io.Writer, random io.Reader, now time.Time, r keyRequest) error {
	if r.name == "" {
		r.name = r.source
	}
	if r.name == "" {
		return fmt.Errorf("%w: a source or a name is needed", errMisuse)
	}
	var texts []string
	for s := range strings.SplitSeq(r.scopes, ",") {
		if s = strings.TrimSpace(s); s != "" {
			texts = append(texts, s)
		}
	}
	if len(texts) == 0 {
		if r.source == "" {
			return fmt.Errorf("%w: scopes are needed where there is no source", errMisuse)
		}
		texts = []string{string(access.MessagesWrite) + ":" + access.LimitSource + "=" + r.source}
	}
	parsed, err := access.ParseScopes(texts)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	from, err := moment(r.from, now)
	if err != nil {
		return fmt.Errorf("%w: not-before: %w", errMisuse, err)
	}
	until, err := moment(r.expires, now)
	if err != nil {
		return fmt.Errorf("%w: expires: %w", errMisuse, err)
	}
	if !until.IsZero() && (!until.After(now) || !until.After(from)) {
		return fmt.Errorf("%w: it would never hold", errMisuse)
	}
	key, err := access.NewKey(random)
	if err != nil {
		return err
	}
	sum := access.HashKey(key)
	var b strings.Builder
	fmt.Fprintf(&b, "key: %s\n\nIt is shown this once. policies/access/%s.yaml:\n\n", key, r.name)
	fmt.Fprintf(&b, "name: %s\nkeys:\n  - id: %s\n    sha256: %s\n", r.name, access.KeyID(key), hex.EncodeToString(sum[:]))
	if !from.IsZero() {
		fmt.Fprintf(&b, "    not_before: %q\n", from.Format(time.RFC3339))
	}
	if !until.IsZero() {
		fmt.Fprintf(&b, "    expires: %q\n", until.Format(time.RFC3339))
	}
	b.WriteString("scopes:\n")
	for _, s := range parsed {
		fmt.Fprintf(&b, "  - %q\n", s.String())
	}
	if r.source != "" {
		fmt.Fprintf(&b, "\nand in the file of the source %s:\n\nauth:\n  access: true\n", r.source)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// moment is a time in UTC, or a duration from now on; the zero time of nothing and
// of never.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" || s == "never" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a duration nor a time in UTC", s)
	}
	return t, nil
}
