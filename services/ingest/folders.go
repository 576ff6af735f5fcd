package ingest

import (
	"context"
	"fmt"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/files"
)

// folder is the work of taking files, and of putting what answers them.
func (f *fetcher) folder(src *policy.Source) ([]*work, error) {
	feed := &files.Feed{
		Source: src, Append: f.appender(src), Cursors: f.cursors, StreamKey: streamKey,
		Log: f.env.Log, Now: f.env.Now, Random: random, Metrics: f.files,
	}
	var flow, base string
	var in func(dir string) func(context.Context) (files.Folder, error) // another folder there
	if t := src.Transport.Files; t != nil {
		dir, err := f.secret(t.DirEnv)
		if err != nil {
			return nil, err
		}
		if t.DirEnv == "" {
			dir = t.Dir
		}
		in = func(dir string) func(context.Context) (files.Folder, error) {
			return func(context.Context) (files.Folder, error) { return files.Local(dir) }
		}
		flow, base, feed.Pickup, feed.Place = "files", dir, t.Pickup, dir
	} else {
		t := src.Transport.SFTP
		server, err := files.ServerOf(t, f.cfg.Getenv)
		if err != nil {
			return nil, fmt.Errorf("transport.sftp: %w", err)
		}
		in = func(dir string) func(context.Context) (files.Folder, error) { return server.In(dir).Connect }
		flow, base, feed.Pickup, feed.Place = "sftp", server.Dir, t.Pickup, server.Place()
	}
	feed.Open, feed.Key = in(base), cursor.Key(src.Name, flow)
	works := []*work{{key: feed.Key, run: func(ctx, until context.Context) { _ = feed.Run(ctx, until) }}} // it ends with them only
	if src.Acks.Files == nil {
		return works, nil
	}
	rule := src.Acks.Files.Defaults()
	at, err := rule.Folder(base)
	if err != nil {
		return nil, fmt.Errorf("acks.files.dir: %w", err)
	}
	out := &files.Out{
		Source: src, Poll: feed.Pickup.Poll, Suffix: rule.Suffix, Open: in(at), Log: f.acks, Cursors: f.cursors, Key: cursor.Key(src.Name, "acks"),
		Logger: f.env.Log, Now: f.env.Now, Random: random, Metrics: f.files,
	}
	if !strings.Contains(rule.Dir, "/") && rule.Dir != ".." {
		out.Open, out.Dir = feed.Open, rule.Dir
	}
	return append(works, &work{key: out.Key, run: func(_, until context.Context) { _ = out.Run(until) }}), nil // it ends with that only
}
