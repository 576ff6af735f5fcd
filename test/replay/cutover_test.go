package replay

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// inventory.events is lost and made anew: the ledger stops rather than swallow low
// offsets, and after a cutover it goes on with every event counted.
func TestCutover(t *testing.T) {
	w := newWorld(t)
	w.Start(t, "atp")
	w.play(3000)
	w.applied()
	w.want(0, []string{"cutover"}, "there is nothing to cut over")
	w.stop()
	w.recreate(t)
	w.play(1200)
	w.Process("atp").Restart(t)
	if code := w.Process("atp").Wait(t, settle); code != 1 || !strings.Contains(w.Process("atp").Log(t), "a cutover must join them") {
		t.Fatalf("the ledger ended with %d:\n%s", code, w.Process("atp").Log(t))
	}

	out := w.want(0, []string{"cutover"}, "topic id was", "nothing is written yet", "--yes")
	line := regexp.MustCompile(`stockweave (cutover --old \S+ --start \S+ --yes)`).FindStringSubmatch(out)
	if line == nil {
		t.Fatalf("no command in\n%s", out)
	}
	args := strings.Fields(line[1])
	wrong := append([]string(nil), args...)
	wrong[2] = regexp.MustCompile(`^0:\d+`).ReplaceAllString(wrong[2], "0:7")
	w.want(2, wrong, "not 7 as stated")
	wrong = append([]string(nil), args...)
	wrong[4] = strings.Replace(wrong[4], "0:0", "0:999999", 1)
	w.want(2, wrong, "cannot go on at 999999")
	w.want(0, args, "cut over: 6 partitions")
	w.want(0, []string{"cutover"}, "there is nothing to cut over")

	w.Start(t, "atp")
	w.applied()
	w.play(800)
	w.applied()
	w.figures()
	w.audit("2000 events = 5001 applied", "earlier lineage")
	w.want(2, []string{"replay", "--shadow", "no"}, "began with a cutover: the log alone does not hold its state")
	w.stop()
}

// recreate deletes inventory.events and makes it anew.
func (w *world) recreate(t *testing.T) {
	t.Helper()
	admin := w.Kafka.Admin(t)
	res, err := admin.DeleteTopics(t.Context(), event.TopicEvents)
	if err := errors.Join(err, res.Error()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(settle)
	for {
		topics, err := admin.ListTopics(t.Context())
		if err == nil && !topics.Has(event.TopicEvents) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the topic is not gone")
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Command(t, "topics", "apply")
}

// More partitions: the same figures as if nothing had happened.
func TestRepartition(t *testing.T) {
	w := newWorld(t)
	w.Start(t, "atp")
	w.play(5000)
	w.applied()
	w.want(2, []string{"repartition", "--partitions", "12"}, event.TopicState+" (6 partitions) -> "+event.TopicState+".g1 (12 partitions)", "--yes")
	w.want(2, []string{"repartition", "--partitions", "6"}, "6 partitions already")
	w.want(2, []string{"repartition", "--partitions", "12", "--yes"}, "members at work: atp-0")
	w.stop()
	w.play(100)
	w.want(2, []string{"repartition", "--partitions", "12", "--yes"}, "records are left to apply")
	w.Start(t, "atp")
	w.applied()
	w.stop()
	w.want(0, []string{"repartition", "--partitions", "12", "--yes"}, "generation 1 of topics holds", event.TopicOutcomes+".g1")

	w.aliases = stream.Aliases{}
	for _, topic := range []string{event.TopicEvents, event.TopicState, event.TopicPositions, event.TopicViews, event.TopicOutcomes, event.TopicSnapshots} {
		w.aliases[topic] = topic + ".g1"
	}
	w.figures()
	w.Start(t, "atp")
	w.play(3000)
	w.applied()
	w.figures()
	w.audit("12 partitions", "earlier lineage")
	w.Command(t, "policies", "apply")
	w.applied()
	w.want(2, []string{"replay", "--shadow", "no"}, "began with a repartition")
	w.stop()
	w.want(2, []string{"topics", "use", "--generation", "0", "--yes"}, "records that "+event.TopicEvents+" does not")
	w.want(0, []string{"repartition", "--partitions", "3", "--yes"}, "generation 2 of topics holds")
	for topic := range w.aliases {
		w.aliases[topic] = topic + ".g2"
	}
	w.Start(t, "atp")
	w.play(500)
	w.applied()
	w.figures()
	w.audit("3 partitions")
}
