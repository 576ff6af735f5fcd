package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stockweave/stockweave/pkg/stream"
)

const cutoverAbout = `
Where inventory.events is another topic than the one the state was made from, or has
lost records the state needs, the worker stops: low offsets would be swallowed as
applied already. A cutover says where to go on. It writes a new lineage into the
header of each such partition, with what the old one had applied and where the new
one starts, and takes the group there, all in one transaction.
Without --yes it shows what it would do and the command that does it.
It refuses while a worker is a member of the group, or when what --old states is not
what the state has applied, or when the log cannot go on where --start says.
`

// cutoverCommand joins a ledger's state to another log (EXACTLY-ONCE §4).
func cutoverCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("cutover", stderr, cutoverAbout)
	path := fs.String("config", "", "configuration file")
	old := fs.String("old", "", "offset the state of each partition has applied last: 0:41,1:17,2:none")
	start := fs.String("start", "", "offset at which to go on, by partition: 0:0,1:120; the log's first where nothing is said")
	yes := fs.Bool("yes", false, "do it")
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	o, err := operate(ctx, fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer o.close()
	olds, err := byPartition(*old, "none")
	if err != nil {
		return err
	}
	starts, err := byPartition(*start, "first")
	if err != nil {
		return err
	}
	if *yes {
		cuts := make([]stream.Cut, 0, len(olds))
		for p, applied := range olds {
			at, said := starts[p]
			if !said {
				at = stream.FromFirst
			}
			cuts = append(cuts, stream.Cut{Partition: p, Old: applied, Start: at})
		}
		for p := range starts {
			if _, said := olds[p]; !said {
				return fmt.Errorf("%w: --start names partition %d and --old does not", errMisuse, p)
			}
		}
		plan, err := o.ledger.Cutover(ctx, cuts)
		if plan != nil {
			printCutover(stdout, plan)
		}
		if err != nil {
			return refusal(stdout, err)
		}
		fmt.Fprintf(stdout, "cut over: %d partitions\n", len(plan.Cuts))
		return nil
	}
	plan, err := o.ledger.PlanCutover(ctx, starts)
	if plan != nil {
		printCutover(stdout, plan)
	}
	if err != nil {
		return refusal(stdout, err)
	}
	if len(plan.Cuts) == 0 {
		fmt.Fprintln(stdout, "every partition goes on by itself: there is nothing to cut over")
		return nil
	}
	stated, from := map[int32]int64{}, map[int32]int64{}
	for _, c := range plan.Cuts {
		stated[c.Partition], from[c.Partition] = c.Old, c.Start
	}
	fmt.Fprintf(stdout, "nothing is written yet; to do it, once the workers are stopped:\n  stockweave cutover --old %s --start %s --yes\n",
		partitionsText("none", stated), partitionsText("first", from))
	return nil
}

func printCutover(w io.Writer, plan *stream.Cutover) {
	cuts := map[int32]stream.Header{}
	for _, h := range plan.Headers {
		cuts[h.Partition] = h
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PARTITION\tLINEAGE\tAPPLIED\tGROUP\tLOG\tPIECES\tNEW LINEAGE\tSTART\tSKIPPED\tWHY")
	for i := range plan.Standings {
		s := &plan.Standings[i]
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%d-%d\t%d\t", s.Partition, s.Header.Lineage, s.Applied(), s.Group, s.First, s.End, s.Pieces)
		if h, ok := cuts[s.Partition]; ok {
			fmt.Fprintf(tw, "%d\t%d\t%d\t", h.Lineage, h.Start, max(h.Start-s.First, 0))
		} else {
			fmt.Fprint(tw, "-\t-\t-\t")
		}
		fmt.Fprintln(tw, cmp.Or(strings.Join(s.Gaps(), ", "), "goes on"))
	}
	_ = tw.Flush() // a report that cannot be printed is no reason to stop half-way
}
