package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/schemas"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

func checkCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("check", stderr)
	dir := fs.String("policies", "policies", "policies folder")
	verbose := fs.Bool("v", false, "say which mappings are not compiled, and why")
	if err := parse(fs, args); err != nil {
		return err
	}
	set, err := policy.Load(*dir)
	if err != nil {
		return err
	}
	if err := errors.Join(canonicalizer.CheckSamples(set), canonicalizer.CheckClaims(set)); err != nil {
		return err
	}
	if *verbose {
		slow, err := canonicalizer.Interpreted(set)
		if err != nil {
			return err
		}
		for _, line := range slow {
			fmt.Fprintln(stdout, line)
		}
	}
	samples := 0
	for _, s := range set.Sources {
		samples += len(s.Samples)
	}
	for _, s := range set.Partners {
		samples += len(s.Samples)
	}
	fmt.Fprintf(stdout, "%d sources and %d partners with %d samples, %d channels, %d ERPs, %d schemas: valid\n",
		len(set.Sources), len(set.Partners), samples, len(set.Channels), len(set.ERPs), len(schemas.All()))
	return nil
}
