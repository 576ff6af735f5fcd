package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	probeTimeout = 5 * time.Second // of one request
	probeEvery   = 500 * time.Millisecond
)

// probeCommand asks a URL and wants 200: the container image has no other client,
// so health checks and start-up orders are made of it.
func probeCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("probe", stderr)
	url := fs.String("url", "http://127.0.0.1:9100/readyz", "what to ask")
	wait := fs.Duration("wait", 0, "how long to go on asking")
	if err := parse(fs, args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *wait+probeTimeout)
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	giveUp := time.NewTimer(*wait)
	defer giveUp.Stop()
	for {
		err := probe(ctx, *url)
		if err == nil {
			fmt.Fprintln(stdout, "ok")
			return nil
		}
		select {
		case <-giveUp.C:
			return err
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: probing: %w", errMisuse, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("probing: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err != nil {
			body = nil
		}
		return fmt.Errorf("probing %s: %s: %s", url, resp.Status, body)
	}
	return nil
}
