// Command stockweave is every service of the platform and the operator's
// commands, one sub-command each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitMisuse = 2
	// exitPart: of audit, explain and replay, part of the log is gone, or would not stand
	// still; of approve and thaw, the ledger did not come to it in time.
	exitPart = 3
)

// version is set by the linker when a release is built.
var version = "dev"

// errMisuse marks a fault of the command line or the configuration.
var errMisuse = errors.New("misuse")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command is one sub-command; its arguments are those after its name.
type command struct {
	name  string
	about string
	run   func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

func commands() []command {
	cmds := []command{
		{"demo", "run everything in one process, on embedded parts, and play a scenario", demoCommand},
		{"topics apply", "create topics, register schemas, publish their ids", topicsApply},
		{"policies apply", "publish the ledger policy and settings", policiesApply},
		{"version", "print the version", func(_ context.Context, _ []string, stdout, _ io.Writer) error {
			_, err := fmt.Fprintln(stdout, version)
			return err
		}},
		{"check", "check policies, mappings and schemas; print every fault", checkCommand},
		{"source new", "scaffold a source from a sample message", sourceNew},
		{"source test", "run the samples of sources, and show what differs", sourceTest},
		{"source try", "show what a message would become, and what is left unmapped", sourceTry},
		{"source coverage", "say how much of a folder of messages a source reads", sourceCoverage},
		{"source diff", "compare two versions of a source over the last raw messages", sourceDiff},
		{"key new", "make an API key and print it once, with the policy that lets it in", keyNew},
		{"source score", "read a folder of documents whose facts are known, and compare", sourceScore},
		{"txn list", "list the cluster's open transactions, hanging ones too", txnList},
		{"txn abort", "abort an open transaction that holds readers up", txnAbort},
		{"probe", "ask a URL, /readyz by default, and succeed on 200", probeCommand},
		{"cutover", "let the ledger go on with another log than its state is of", cutoverCommand},
		{"replay", "fold the log again beside the ledger, compare, and use what came out", replayCommand},
		{"repartition", "move the ledger to topics of another partition count", repartitionCommand},
		{"topics list", "list the generations of topics", topicsList},
		{"topics use", "go back to an older generation of topics", topicsUse},
		{"audit", "fold the log again and compare outcomes, state, positions and Redis with it", auditCommand},
		{"parked list", "list the lines that wait for master data", linesList},
		{"parked retry", "run lines that wait for master data again", linesRetry},
		{"parked drop", "give up lines that wait for master data", linesDrop},
		{"parked", "list the events that wait and the keys that take none", parkedCommand},
		{"approve", "apply or drop an event that waits", approveCommand},
		{"thaw", "release a frozen key", thawCommand},
		{"snapshots list", "list the full snapshots of which parts have not come", snapshotsList},
		{"snapshots approve", "close a full snapshot in spite of its guard", snapshotsApprove},
		{"explain", "tell every contribution to an item's numbers, and check that they add up", explainCommand},
		{"counterparts", "serve a simulated ERP and channel for each of the policies", counterpartsCommand},
	}
	for _, s := range serviceTable() {
		cmds = append(cmds, command{s.name, s.about, s.command})
	}
	return cmds
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmds := commands()
	i := slices.IndexFunc(cmds, func(c command) bool {
		words := strings.Fields(c.name)
		return len(args) >= len(words) && slices.Equal(args[:len(words)], words)
	})
	if i < 0 {
		out, code := stderr, exitMisuse
		if len(args) == 1 && slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
			out, code = stdout, exitOK
		}
		fmt.Fprintln(out, "usage: stockweave COMMAND [flags]")
		for _, c := range cmds {
			fmt.Fprintf(out, "  %-18s %s\n", c.name, c.about)
		}
		return code
	}
	err := cmds[i].run(ctx, args[len(strings.Fields(cmds[i].name)):], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errMisuse):
		fmt.Fprintf(stderr, "stockweave %s: %v\n", cmds[i].name, err)
		return exitMisuse
	case errors.Is(err, errOtherwise), errors.Is(err, errWaits):
		fmt.Fprintf(stderr, "stockweave %s: %v\n", cmds[i].name, err)
		return exitFailed
	case errors.Is(err, errIncomplete):
		fmt.Fprintf(stderr, "stockweave %s: %v\n", cmds[i].name, err)
		return exitPart
	}
	newLog(stderr, slog.LevelInfo).Error("stopped", slog.String("command", cmds[i].name), slog.Any("err", err))
	return exitFailed
}

// flags makes a flag set that reports misuse instead of exiting. Its help ends with
// what there is to say about the command.
func flags(name string, stderr io.Writer, about ...string) *flag.FlagSet {
	fs := flag.NewFlagSet("stockweave "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	usage := fs.Usage
	fs.Usage = func() {
		usage()
		for _, s := range about {
			fmt.Fprint(stderr, s)
		}
	}
	return fs
}

func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errMisuse, fs.Arg(0))
	}
	return nil
}

func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
