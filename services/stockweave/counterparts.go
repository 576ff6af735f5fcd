package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
)

// counterpartsCommand serves a simulated ERP and channel for each of the policies,
// for a trial of the whole platform without one: /erp/<name>/ and
// /channel/<name>/ on one address, and 200 on /.
func counterpartsCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("counterparts", stderr)
	dir := fs.String("policies", "policies", "policies folder")
	listen := fs.String("listen", "127.0.0.1:8090", "address")
	if err := parse(fs, args); err != nil {
		return err
	}
	set, err := policy.Load(*dir)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	fmt.Fprintf(stdout, "simulated counterparts on %s\n", *listen)
	return service.Run(ctx, service.Serve(*listen, counterparts(set, os.Getenv), nil))
}

func counterparts(set *policy.Set, getenv func(string) string) http.Handler {
	mux := http.NewServeMux()
	serve := func(prefix string, h http.Handler) { mux.Handle(prefix+"/", http.StripPrefix(prefix, h)) }
	for _, e := range set.ERPs {
		serve("/erp/"+e.Name, simulate.NewERP(simulate.ERPOptions{Key: getenv(e.KeyEnv)}))
	}
	for _, c := range set.Channels {
		opts := simulate.ChannelOptions{Secret: getenv(c.SecretEnv)}
		if c.Type == policy.ChannelSimulated { // a webhook is signed, and reading back carries no key
			opts.Key = opts.Secret
		}
		serve("/channel/"+c.Name, simulate.NewChannel(opts))
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}
