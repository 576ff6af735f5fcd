package atpapi

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

// Times of the desk.
const (
	// leaseTime is how long a run that says nothing has its key for itself: what a dead
	// replica has tried has lapsed by then. A run that goes on renews it.
	leaseTime = 35 * time.Second
	// bookTime bounds one call to the book.
	bookTime = 2 * time.Second
	// bookAgain is between two attempts to write what became of a request.
	bookAgain = time.Second
	// noteTime bounds those attempts.
	noteTime = 10 * time.Minute
	// closeTime is for giving back, at the end, what is not answered.
	closeTime = 10 * time.Second
)

// ReservationsConfig bounds reservations over HTTP.
type ReservationsConfig struct {
	// Wait is how long a request is waited for before its caller gets 202.
	Wait time.Duration `yaml:"wait"`
	// Hold is for how long stock is held when a request does not say.
	Hold time.Duration `yaml:"hold"`
	// MaxHold bounds how long after it was made a reservation may be held without being
	// confirmed.
	MaxHold time.Duration `yaml:"max_hold"`
	// MaxLines bounds one request.
	MaxLines int `yaml:"max_lines"`
	// MaxUnderWay bounds the requests of one partner that a replica has no answer to yet.
	MaxUnderWay int `yaml:"max_under_way"`
	// MaxOpen bounds the reservations of one partner that hold stock and are not
	// confirmed, over all replicas.
	MaxOpen int `yaml:"max_open"`
	// Remember is how long what became of a request is known after it is over.
	Remember time.Duration `yaml:"remember"`
}

// DefaultReservations is what holds where the file says nothing.
func DefaultReservations() ReservationsConfig {
	return ReservationsConfig{
		Wait: 2 * time.Second, Hold: 15 * time.Minute, MaxHold: 24 * time.Hour, MaxLines: 50, MaxUnderWay: 200, MaxOpen: 20_000, Remember: time.Hour,
	}
}

func (c *ReservationsConfig) validate(bad func(format string, args ...any)) {
	if c.Wait < 10*time.Millisecond || c.Wait > 20*time.Second {
		bad("reservations.wait: must be between 10ms and 20s")
	}
	if c.MaxHold < minHold || c.MaxHold > 366*24*time.Hour {
		bad("reservations.max_hold: must be between 10s and 8784h")
	}
	if c.Hold < minHold || c.Hold > c.MaxHold {
		bad("reservations.hold: must be between 10s and max_hold")
	}
	if c.MaxLines < 1 || c.MaxLines > 500 {
		bad("reservations.max_lines: must be between 1 and 500")
	}
	if c.MaxUnderWay < 1 || c.MaxUnderWay > 100_000 {
		bad("reservations.max_under_way: must be between 1 and 100000")
	}
	if c.MaxOpen < 1 || c.MaxOpen > 10_000_000 {
		bad("reservations.max_open: must be between 1 and 10000000")
	}
	if c.Remember < time.Minute || c.Remember > 30*24*time.Hour {
		bad("reservations.remember: must be between 1m and 720h")
	}
}

// desk puts reservations to the ledger and keeps the book of them. It is safe for
// concurrent use.
type desk struct {
	cfg    ReservationsConfig
	client atomic.Pointer[reservation.Client] // nil until answers are heard
	book   *book
	name   string // of this process's life
	now    func() time.Time
	log    *slog.Logger
	count  *reservationMetrics
	lease  time.Duration

	mu       sync.Mutex
	underWay map[string]int // by partner
	begun    int
	closing  bool
	runs     sync.WaitGroup
}

func newDesk(cfg ReservationsConfig, b *book, name string, now func() time.Time, log *slog.Logger, count *reservationMetrics) *desk {
	return &desk{cfg: cfg, book: b, name: name, now: now, log: log, count: count, lease: leaseTime, underWay: map[string]int{}}
}

// errBusy is a partner with too many requests under way.
var errBusy = errors.New("too many requests under way")

// enter lets a request in, and names its run; leave must follow.
func (d *desk) enter(partner string) (owner string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closing:
		return "", reservation.ErrClosed
	case d.underWay[partner] >= d.cfg.MaxUnderWay:
		return "", errBusy
	}
	d.underWay[partner]++
	d.begun++
	d.runs.Add(1)
	d.count.underWay.Inc()
	return d.name + "." + strconv.Itoa(d.begun), nil
}

func (d *desk) leave(partner string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.underWay[partner]--; d.underWay[partner] == 0 {
		delete(d.underWay, partner)
	}
	d.count.underWay.Dec()
	d.runs.Done()
}

// run puts a request that is the caller's in the book to the ledger and returns what is
// said of it. The book knows then, too, or will when it can be written.
func (d *desk) run(c *reservation.Client, q *asking, owner string) (*view, error) {
	ctx := context.Background() // it goes on when its caller is gone
	until := inventory.Instant(q.until.UnixMilli())
	rs := q.ticket.requests(q.lines, until)
	replies := make([]reservation.Reply, len(rs))
	errs := make([]error, len(rs))
	over := d.goesOn(&q.ticket, owner)
	atOnce(rs, func(i int) { replies[i], errs[i] = c.Reserve(ctx, rs[i]) })
	over()
	if err := errors.Join(errs...); err != nil {
		d.giveUp(c, q, rs, owner, err)
		return nil, err
	}
	v := viewOf(&q.ticket, until, replies, q.lines)
	d.count.ended.WithLabelValues(v.Status).Inc()
	d.note(q.ticket.partner, owner, v, q.until)
	return v, nil
}

// goesOn renews the lease of a run until over is called: two runs of one request would
// give back what the other was granted.
func (d *desk) goesOn(t *ticket, owner string) (over func()) {
	ctx, cancel := context.WithCancel(context.Background())
	partner, number := t.partner, t.number()
	go func() {
		for pause(ctx, d.lease/3) {
			call, done := context.WithTimeout(ctx, bookTime)
			if err := d.book.renew(call, partner, number, owner, d.now().Add(d.lease)); err != nil && ctx.Err() == nil {
				d.log.Warn("the lease of a request is not renewed", slog.String("reservation", number), slog.Any("err", err))
			}
			done()
		}
	}()
	return cancel
}

// atOnce calls f for each of the requests, at once.
func atOnce[T any](of []T, f func(i int)) {
	if len(of) == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	for i := range of {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// giveUp ends a request that could not be put whole: what was granted of it is given
// back.
func (d *desk) giveUp(c *reservation.Client, q *asking, rs []reservation.Request, owner string, why error) {
	ctx, cancel := context.WithTimeout(context.Background(), bookTime)
	defer cancel()
	if errors.Is(why, reservation.ErrOther) {
		return // another run of it goes on, and will be over before the lease is
	}
	if len(rs) > 1 {
		atOnce(rs, func(i int) {
			if err := c.Cancel(ctx, rs[i]); err != nil {
				d.log.Warn("a reservation is not given back, it lapses", slog.String("reservation", rs[i].ID), slog.Any("err", err))
			}
		})
	}
	if err := d.book.forget(ctx, q.ticket.partner, q.ticket.number(), owner); err != nil {
		d.log.Warn("a request that was not made is not forgotten", slog.Any("err", err))
	}
}

// note writes what became of a run; where that fails it goes on trying, and the caller
// does not wait.
func (d *desk) note(partner, owner string, v *view, until time.Time) {
	try := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), bookTime)
		defer cancel()
		return d.book.change(ctx, partner, owner, v, d.open(v, until), d.keep(v, until))
	}
	err := try()
	if err == nil {
		return
	}
	d.log.Warn("what became of a reservation is not noted yet", slog.String("reservation", v.Reservation), slog.Any("err", err))
	d.runs.Go(func() {
		for range int(noteTime / bookAgain) {
			if d.isClosing() {
				break
			}
			time.Sleep(bookAgain)
			if try() == nil {
				return
			}
		}
		d.count.unnoted.Inc()
	})
}

func (d *desk) isClosing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// open is until when a view counts as open; zero: it does not.
func (d *desk) open(v *view, until time.Time) time.Time {
	if v.held() && v.Status != statusConfirmed {
		return until
	}
	return time.Time{}
}

// keep is for how long the book knows of a view.
func (d *desk) keep(v *view, until time.Time) time.Duration {
	if v.held() && v.Status != statusConfirmed {
		return max(0, until.Sub(d.now())) + d.cfg.Remember
	}
	return d.cfg.Remember
}

// visit returns the client, which is there until leave is called; nil before answers are
// heard and when the desk closes.
func (d *desk) visit() (c *reservation.Client, leave func()) {
	if d == nil {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c = d.client.Load(); c == nil || d.closing {
		return nil, nil
	}
	d.runs.Add(1)
	return c, d.runs.Done
}

// close lets nobody in any more, waits for what is under way half as long as callers do, and
// calls off the rest.
func (d *desk) close(ctx context.Context, c *reservation.Client) error {
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	answered := make(chan struct{})
	go func() {
		d.runs.Wait()
		close(answered)
	}()
	t := time.NewTimer(min(d.cfg.Wait, closeTime) / 2)
	defer t.Stop()
	select {
	case <-answered:
	case <-t.C:
	case <-ctx.Done():
	}
	if err := c.Close(ctx); err != nil {
		return fmt.Errorf("closing the desk: %w", err)
	}
	select { // what was called off is noted
	case <-answered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the desk: %w", ctx.Err())
	}
}

// replyPartition is the partition of answers that an instance listens to: by the number
// its name ends with, as those of a StatefulSet do, or else by the name. Two that share
// one hear each other's answers too, and leave them alone.
func replyPartition(instance string, partitions int32) int32 {
	digits := instance[len(strings.TrimRight(instance, "0123456789")):]
	if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
		return int32(n % uint64(partitions)) //nolint:gosec // below partitions
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(instance))             // never fails
	return int32(h.Sum32() % uint32(partitions)) //nolint:gosec // below partitions
}
