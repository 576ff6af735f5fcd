package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer"
	"github.com/stockweave/stockweave/services/stockweave/scaffold"
)

// sourceNew proposes a source from a sample message.
func sourceNew(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source new --from SAMPLE", stderr,
		"Writes sources/NAME.yaml with the message as its sample and what it becomes as its expected output. The format\n",
		"is told by the message. Where a ready partner reads it, its file is copied; else the standard's mapping is\n",
		"taken; else a mapping is proposed from the fields that look like items, quantities and times. Lines with\n",
		"DECIDE need a person. Files that are there are never written over.\n")
	dir := fs.String("policies", "policies", "policies folder")
	from := fs.String("from", "", "a message as the partner sends it")
	name := fs.String("name", "", "name of the source; the sample's when empty")
	entity := fs.String("entity", "", "legal entity of what it sends")
	location := fs.String("location", "", "location where a line names none")
	asJSON := fs.Bool("json", false, "print JSON for programs")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *from == "" {
		return fmt.Errorf("%w: name a sample with --from", errMisuse)
	}
	body, err := readMessage(*from)
	if err != nil {
		return err
	}
	set, err := policy.Load(*dir)
	if err != nil {
		return err
	}
	b, err := canonicalizer.NewBench(set)
	if err != nil {
		return err
	}
	d, err := scaffold.New(ctx, b, scaffold.Ask{Name: *name, Entity: *entity, Location: *location, Filename: filepath.Base(*from), Body: body})
	if errors.Is(err, scaffold.ErrUnknown) {
		return fmt.Errorf("%w: %w", errMisuse, err)
	} else if err != nil {
		return err
	}
	if other := set.Sources[d.Name]; other != nil {
		return fmt.Errorf("%w: %s has the name %s already: give another with --name", errMisuse, other.File, d.Name)
	}
	if err := writeNew(*dir, d.Files); err != nil {
		return err
	}
	if *asJSON {
		return printJSON(stdout, d)
	}
	fmt.Fprintf(stdout, "%s: %s, from %s\n", d.Name, d.Format, d.BasedOn)
	for _, f := range slices.Sorted(maps.Keys(d.Files)) {
		fmt.Fprintf(stdout, "  wrote %s\n", filepath.Join(*dir, f))
	}
	fmt.Fprintln(stdout, "to decide:")
	for _, s := range d.Decide {
		wrapped(stdout, "  - ", s)
	}
	return nil
}

// writeNew writes files of a policies folder, all or none, over no other.
func writeNew(dir string, files map[string][]byte) error {
	var done []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755) //nolint:gosec // policies are no secret
		if err == nil {
			err = createFile(path, files[name])
		}
		if err != nil {
			for _, p := range done {
				err = errors.Join(err, os.Remove(p))
			}
			return fmt.Errorf("%w: writing the source: %w", errMisuse, err)
		}
		done = append(done, path)
	}
	return nil
}

func createFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // policies are no secret
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
