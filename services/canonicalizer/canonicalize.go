package canonicalizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/slab"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/standard/x12"
)

// serviceName stands in dead letters.
const serviceName = "canonicalizer"

// maxKept bounds what a dead letter or a parked line keeps of its line, bytes.
const maxKept = 64 << 10

// Result is what became of one raw message. Each line is in exactly one of the
// lists (Invariant 2), and Receipt says so. It is a function of the message, its
// source's policy and the master data.
type Result struct {
	Events     []inventory.Event
	Items      []event.MasterItem
	Locations  []event.MasterLocation
	Milestones []event.Milestone
	Parked     []event.ParkedLine
	Rejected   []event.DeadLetter
	Receipt    event.Receipt

	// Of full snapshots, beside the lines: the ends of those that the message lists
	// whole, to be said when all lines are durable, and why others have none.
	Ends []inventory.SnapshotEnd
	Open []event.DeadLetter

	batch *batch   // what Events stand in
	of    *batches // nil: nobody wants it back
}

// sourceProgram is a source ready to run.
type sourceProgram struct {
	src     *policy.Source
	parse   format.Parse
	mapping *mapping
	names   itemNames
	batches *batches
}

// programs compiles the sources of a set; every fault is reported.
func programs(set *policy.Set) (map[inventory.Source]*sourceProgram, error) {
	out := map[inventory.Source]*sourceProgram{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		p, err := program(set.Sources[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out[name] = p
	}
	return out, errors.Join(errs...)
}

func program(src *policy.Source) (*sourceProgram, error) {
	parse, ok := formatOf(src.Format)
	if !ok {
		return nil, fmt.Errorf("%s: format: no folder for %q", src.File, src.Format)
	}
	m, err := compile(src)
	if err != nil {
		return nil, err
	}
	names, err := namesOf(src)
	if err != nil {
		return nil, err
	}
	return &sourceProgram{src, parse, m, names, &batches{}}, nil
}

// canonicalize turns a raw message into events. The error is set only when ctx
// ends first; whatever is wrong with the message is in the result.
func canonicalize(ctx context.Context, p *sourceProgram, raw *event.RawMessage, m *masters) (Result, error) {
	return canonicalizeAt(ctx, p, raw, m, nil)
}

// canonicalizeAt is canonicalize at a pace.
func canonicalizeAt(ctx context.Context, p *sourceProgram, raw *event.RawMessage, m *masters, at *pace) (Result, error) {
	at.begin()
	read := 0
	r := run{p: p, raw: raw, masters: m, runner: p.mapping.program.Runner(), newItems: map[inventory.Key]int64{}, newLocations: map[inventory.Location]int64{}}
	defer r.forget()
	most := p.src.Limits.MaxLines
	if most == 0 {
		most = policy.DefaultMaxLines
	}
	for u := range units(p, raw) {
		if err := r.unit(ctx, u); err != nil {
			return Result{}, err
		}
		if read++; read%restEvery == 0 {
			at.rest(ctx)
		}
		if r.lines > most || r.tooMany {
			// All or nothing: half a message would look like a whole one.
			r.batch().forget()
			r.out, r.lines = Result{batch: r.out.batch, of: r.out.of}, 1
			r.refuse("", reject(x12.TooManyLines, "more than %d lines", most), nil)
			break
		}
	}
	r.snapshots()
	r.out.Receipt = r.receipt()
	return r.out, nil
}

// run is one message on its way.
type run struct {
	p       *sourceProgram
	raw     *event.RawMessage
	masters *masters
	lines   int
	tooMany bool // lines, which is known before they are counted
	out     Result
	read    line              // the line it is at
	frames  inventory.Event   // of milestones, one after the other
	again   *event.ParkedLine // set where it is one that runs again
	runner  *jq.Runner        // of the mapping
	x12     *x12Memory        // of X12 by the standard
	given   *jq.Object        // of a mapping's input, what is the same for all units
	lent    *jq.Object        // see lend
	ids     slab.Texts

	// What was looked up last, most of which comes again: a time as it was stated, a
	// location by the one name it had.
	lastTime  string
	lastAt    inventory.Instant
	lastName  string
	lastPlace *event.MasterLocation

	// Versions given by this message, so that an item listed twice grows twice.
	newItems     map[inventory.Key]int64
	newLocations map[inventory.Location]int64
}

// input is what a mapping is given for a unit. Mappings change nothing in place, so all
// but the tree is made once.
func (r *run) input(tree any) any {
	if r.given == nil {
		src := r.p.src
		defaults := make(map[string]any, len(src.Defaults))
		for k, v := range src.Defaults {
			defaults[k] = v
		}
		headers := make(map[string]any, len(r.raw.Headers))
		for _, h := range r.raw.Headers {
			headers[strings.ToLower(h.Name)] = h.Value
		}
		r.given = jq.NewObject(
			jq.Member{Key: "defaults", Value: defaults},
			jq.Member{Key: "raw", Value: map[string]any{
				"id": documentID(r.raw), "filename": r.raw.Filename, "received_at": int(r.raw.ReceivedAt), "headers": headers,
			}},
			jq.Member{Key: "source", Value: map[string]any{
				"name": string(src.Name), "entity": string(src.Entity), "default_location": string(src.DefaultLocation),
			}},
			jq.Member{Key: "tree", Value: nil},
		)
	}
	return r.given.With("tree", jq.Value(tree))
}

// lend is input that is good until it is asked for another: for a unit whose lines are
// read before the next one comes. Its tree may be lazy.
func (r *run) lend(tree any) any {
	if r.lent == nil {
		r.lent, _ = r.input(nil).(*jq.Object)
	}
	r.lent.Replace("tree", tree)
	return r.lent
}

func (r *run) unit(ctx context.Context, u format.Unit) error {
	var mapped []any
	var bad *mapError
	if u.Tree != nil || u.Fault == nil {
		var err error
		if mapped, err = r.mapped(ctx, u.Tree); err != nil {
			var ok bool
			if bad, ok = errors.AsType[*mapError](err); !ok {
				return fmt.Errorf("mapping message %s: %w", r.raw.ID, err)
			}
		}
	}
	switch {
	case u.Fault != nil && len(mapped) == 0:
		r.lines++
		r.refuse("", &lineError{u.Fault.Code, u.Fault.Reason}, u.Tree)
	case bad != nil:
		r.lines++
		r.tooMany = bad.code == x12.TooManyLines
		r.refuse("", reject(bad.code, "%s: %s", u.Where, bad.reason), u.Tree)
	default:
		for _, v := range mapped {
			r.lines++
			r.line(u, v)
		}
	}
	return nil
}

// line takes one mapped line to the one list it belongs to.
func (r *run) line(u format.Unit, v any) {
	l := &r.read
	reason := l.read(v)
	id := ""
	if l.document.Number != "" {
		var room [event.IDSize]byte
		id = r.ids.Of(event.AppendEventID(room[:0], r.p.src.Name, l.document))
	}
	switch {
	case u.Fault != nil:
		r.refuse(id, &lineError{u.Fault.Code, u.Fault.Reason}, v)
		return
	case reason != "":
		r.refuse(id, reject("bad_mapping", "%s: %s", r.place(u, l.where()), reason), v)
		return
	}
	var fault *lineError
	switch l.kind { //nolint:exhaustive // readLine has refused the others
	case kindError:
		code := "mapping_error"
		if validCode(l.code) {
			code = l.code
		}
		fault = reject(code, "%s", l.reason)
	case kindItem:
		fault = r.item(&l.item)
	case kindLocation:
		fault = r.location(&l.location)
	case kindMilestone:
		var missing *missing
		var m *event.Milestone
		if m, missing, fault = r.milestone(l, id); missing != nil {
			r.park(id, r.place(u, l.where()), missing, v)
		} else if m != nil {
			r.out.Milestones = append(r.out.Milestones, *m)
		}
	default:
		b := r.batch()
		ev := b.next()
		var missing *missing
		if missing, fault = r.event(l, id, ev); missing != nil {
			r.park(id, r.place(u, l.where()), missing, v)
		}
		if missing != nil || fault != nil {
			*ev = inventory.Event{}
			break
		}
		b.events = b.events[:len(b.events)+1]
		r.out.Events = b.events
	}
	if fault != nil {
		fault.reason = r.place(u, l.where()) + ": " + fault.reason
		r.refuse(id, fault, v)
	}
}

// batch is what the events of the result stand in.
func (r *run) batch() *batch {
	if r.out.batch == nil {
		r.out.batch, r.out.of = r.p.batches.get(), r.p.batches
	}
	return r.out.batch
}

// place says where a line stands in its message.
func (r *run) place(u format.Unit, at string) string {
	if r.again != nil {
		return r.again.Place
	}
	label := ""
	switch r.p.src.Format {
	case policy.FormatX12, policy.FormatEDIFACT:
		label = "segment "
	case policy.FormatCSV:
		label = "row "
	}
	if at == "" || label+at == u.Where {
		return u.Where
	}
	return u.Where + ", " + label + shorten(at, 100)
}

// rejectID is the id of a line that has none of its own.
func (r *run) lineID(id string) string {
	if id != "" {
		return id
	}
	return event.EventID(r.p.src.Name, inventory.Document{Type: "raw", Number: r.raw.ID, Line: fmt.Sprint(r.lines)})
}

func (r *run) refuse(id string, fault *lineError, v any) {
	r.out.Rejected = append(r.out.Rejected, event.DeadLetter{
		ID: r.lineID(id), Service: serviceName, Code: fault.code, Reason: shorten(fault.reason, maxReason),
		RawID: r.raw.ID, Line: int32(r.lines), Source: r.p.src.Name, Value: keep(v), At: r.raw.ReceivedAt,
	})
}

// missing is a reference nobody has defined yet.
type missing struct{ ref, code, reason string }

// park sets a line aside, whole: it runs again from what is kept of it.
func (r *run) park(id, where string, m *missing, v any) {
	tree := keep(plain(v))
	if tree == nil {
		r.refuse(id, reject(m.code, "%s: %s, and the line is too long to wait", where, m.reason), nil)
		return
	}
	r.out.Parked = append(r.out.Parked, event.ParkedLine{
		ID: r.lineID(id), Missing: m.ref, Code: m.code, Reason: shorten(where+": "+m.reason, maxReason),
		RawID: r.raw.ID, Line: int32(r.lines), Source: r.p.src.Name, Tree: tree, At: r.raw.ReceivedAt,
		StreamKey: r.raw.StreamKey, Place: shorten(where, maxReason), Mapping: r.mapping(),
	})
}

// mapping is the version that read the line.
func (r *run) mapping() string {
	if r.again != nil {
		return r.again.Mapping
	}
	return r.p.src.MappingVersion
}

// keep is a line as JSON, for people; nothing when it is too long.
func keep(v any) []byte {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(jq.Plain(v))
	if err != nil || len(b) > maxKept {
		return nil
	}
	return b
}

func (r *run) receipt() event.Receipt {
	ids := make([]string, len(r.out.Events))
	for i := range r.out.Events {
		ids[i] = r.out.Events[i].ID
	}
	return event.Receipt{
		RawID: r.raw.ID, Source: r.p.src.Name, Lines: int32(r.lines), EventIDs: ids,
		Rejected: int32(len(r.out.Rejected)), Parked: int32(len(r.out.Parked)),
		Masters: int32(len(r.out.Items) + len(r.out.Locations)), Milestones: int32(len(r.out.Milestones)),
		Mapping: r.mapping(), At: r.raw.ReceivedAt,
	}
}
