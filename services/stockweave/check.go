package main

import (
	"context"
	"fmt"
	"io"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/schemas"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

func checkCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("check", stderr)
	dir := fs.String("policies", "policies", "policies folder")
	if err := parse(fs, args); err != nil {
		return err
	}
	set, err := policy.Load(*dir)
	if err != nil {
		return err
	}
	if err := canonicalizer.CheckSamples(set); err != nil {
		return err
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
