package atpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
)

// spareNames is how many names more than the known ones the limiter has room for.
const spareNames = 16

// admission is who may come in at one moment. It is never changed.
type admission struct {
	open       bool // everybody who reaches the address may everything
	guard      *access.Guard
	rates      map[string]limit.Rule        // of principals
	principals map[string]*access.Principal // of the policies, by name
	over       chan struct{}                // closed when another one is in force
}

// follow keeps who may come in what policies.v1 says.
func (p *porter) follow(codecs *event.Codecs, env *service.Env) (*follow.Access, error) {
	out, err := follow.NewAccess(follow.AccessConfig{
		Codecs: codecs, Log: env.Log, Enter: p.permit, Metrics: env.Metrics, Prefix: "stockweave_atp_api",
	})
	if err != nil {
		return nil, fmt.Errorf("following access: %w", err)
	}
	return out, nil
}

// permit puts principals and issuers in the place of those before, all at once. The
// error leaves them. A service that was not open does not open when the last principal
// goes. It is called by one at a time.
func (p *porter) permit(a *policy.Access) error {
	was := p.now.Load()
	if was == nil {
		was = &admission{open: !p.asks, over: make(chan struct{})}
	}
	guard, err := a.GuardAfter(was.guard, p.own, p.fetch, p.clock)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	next := &admission{
		open: was.open && len(p.own)+len(a.Principals) == 0, guard: guard, rates: a.Rates(),
		principals: map[string]*access.Principal{}, over: make(chan struct{}),
	}
	for i := range a.Principals {
		one, err := a.Principals[i].Principal()
		if err != nil {
			return fmt.Errorf("%s: %w", a.Principals[i].File, err)
		}
		next.principals[one.Name] = &one
	}
	p.limiter.Room(len(p.own) + len(a.Principals) + spareNames)
	if p.leases != nil {
		p.leases.Set(next.rates)
	}
	p.now.Store(next)
	close(was.over)
	return nil
}

// while is a context for what goes on after the request was judged: it ends when access
// changes so that whoever asked by h is nobody any more, or may is false of it.
func (p *porter) while(ctx context.Context, h http.Header, may func(visitor) bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for {
			now := p.now.Load()
			if v, bad := p.admit(ctx, now, h); bad != nil || !may(v) {
				return
			}
			select {
			case <-now.over:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}
