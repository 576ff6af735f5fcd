package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stockweave/stockweave/pkg/simulate/road"
)

// Bounds of a demo run.
const (
	startWithin  = 15 * time.Second // everything ready
	settleWithin = 10 * time.Second // one message at rest
)

// demoOptions are the flags of the demo.
type demoOptions struct {
	once     bool
	json     bool
	scenario string
	policies string
}

// errFigures says that the scenario ended with other figures than it expects.
var errFigures = errors.New("figures differ from the expected ones")

func demoCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("demo", stderr)
	var o demoOptions
	fs.BoolVar(&o.once, "once", false, "end after the scenario")
	fs.BoolVar(&o.json, "json", false, "print the summary as JSON and nothing else")
	fs.StringVar(&o.scenario, "scenario", "examples/scenario", "folder of the scenario to play")
	fs.StringVar(&o.policies, "policies", "policies", "policies where the scenario has none of its own")
	verbose := fs.Bool("verbose", false, "log what the services log")
	if err := parse(fs, args); err != nil {
		return err
	}
	level := slog.LevelError
	if *verbose {
		level = slog.LevelInfo
	}
	return demo(ctx, o, stdout, newLog(stderr, level))
}

// demo runs every service in this process on embedded parts, plays the scenario
// and compares what it ends with.
func demo(ctx context.Context, o demoOptions, stdout io.Writer, log *slog.Logger) (err error) {
	s, err := road.Load(o.scenario, o.policies)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	st, err := startStage(ctx, s, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.stop()) }()

	out := stdout
	if o.json {
		out = io.Discard
	}
	fmt.Fprintf(out, "%s\n\n", s.Title)
	p := &player{scenario: s, stage: st, out: out}
	if err := p.play(ctx); err != nil {
		return err
	}
	sum := p.summary()
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(sum); err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
	} else {
		sum.print(stdout)
	}
	if len(sum.Differences) > 0 {
		return fmt.Errorf("%w: %d", errFigures, len(sum.Differences))
	}
	if o.once {
		return nil
	}
	st.invite(stdout)
	select {
	case <-ctx.Done():
		return nil
	case err := <-st.failed:
		return err
	}
}
