package harness

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:embed kafka/pom.xml
var kafkaPom []byte

// Limits of a cluster's life.
const (
	kafkaStart = 180 * time.Second
	kafkaStop  = 10 * time.Second // with the quorum gone a clean stop takes for ever
)

// A Cluster is Apache Kafka on loopback: one broker, or three with replication
// factor 3 and two replicas in sync. Broker ids start at 1. It is safe for
// concurrent use.
type Cluster struct {
	java, libs, dir string
	options         string     // of Java
	classes         string     // the option of Java that starts with them read already; may be empty
	mu              sync.Mutex // guards the brokers' children
	brokers         []*broker
}

// shared holds the clusters that a test process starts once, by size.
var sharedClusters [4]once[*Cluster]

// Kafka returns the cluster of that many brokers (1 or 3) that all tests of this
// process share, every broker up, without topics or groups.
func Kafka(t testing.TB, brokers int) *Cluster {
	t.Helper()
	if brokers != 1 && brokers != 3 {
		t.Fatalf("a cluster has 1 or 3 brokers, not %d", brokers)
	}
	c, err := sharedClusters[brokers].get(func() (*Cluster, error) { return newCluster(brokers, smallBroker) })
	demand(t, "Apache Kafka", err)
	for _, b := range c.brokers {
		if c.down(b) {
			c.Restart(t, b.id)
		}
	}
	c.Healthy(t)
	c.Wipe(t)
	return c
}

// NewKafka starts a cluster for one test alone; it ends with the test.
func NewKafka(t testing.TB, brokers int) *Cluster {
	t.Helper()
	return own(t, brokers, smallBroker)
}

// SteadyKafka is NewKafka with brokers whose own pauses are short, at the price of
// 2 GB each: for measurements.
func SteadyKafka(t testing.TB, brokers int) *Cluster {
	t.Helper()
	return own(t, brokers, steadyBroker)
}

func own(t testing.TB, brokers int, options string) *Cluster {
	t.Helper()
	c, err := newCluster(brokers, options)
	demand(t, "Apache Kafka", err)
	t.Cleanup(c.stop)
	return c
}

func newCluster(size int, options string, change ...func(*broker)) (*Cluster, error) {
	runtime, err := java(17)
	if err != nil {
		return nil, err
	}
	libs, err := cached("kafka", kafkaPom, func(into string) error { return artifacts(kafkaPom, into) })
	if err != nil {
		return nil, err
	}
	var classes string
	if options == smallBroker { // a steady broker is as Kafka ships it
		classes, err = archived("kafka", runtime, []byte(libs), func(option string) error {
			c, err := bootCluster(&Cluster{java: runtime, libs: libs, options: options, classes: option}, 1)
			if err == nil {
				c.brokers[0].child.stop(kafkaStart) // it writes the archive as it ends
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return bootCluster(&Cluster{java: runtime, libs: libs, options: options, classes: classes}, size, change...)
}

// bootCluster gives a cluster its folder and its brokers, and starts them.
func bootCluster(c *Cluster, size int, change ...func(*broker)) (*Cluster, error) {
	var err error
	if c.dir, err = folder(fmt.Sprintf("kafka-%d", size)); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "log4j2.properties"), []byte(log4jProperties), 0o644); err != nil {
		return nil, fmt.Errorf("writing log settings: %w", err)
	}
	ports, err := freePorts(2 * size)
	if err != nil {
		return nil, err
	}
	for i := range size {
		c.brokers = append(c.brokers, &broker{
			id: i + 1, port: ports[2*i], controllerPort: ports[2*i+1], dir: filepath.Join(c.dir, fmt.Sprint("broker-", i+1)),
		})
	}
	for _, f := range change {
		for _, b := range c.brokers {
			f(b)
		}
	}
	if err := c.boot(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// boot formats and starts every broker and waits until they answer.
func (c *Cluster) boot() error {
	var wg sync.WaitGroup
	errs := make([]error, len(c.brokers))
	for i, b := range c.brokers {
		wg.Go(func() { errs[i] = c.format(b) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, b := range c.brokers {
		if err := c.start(b); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), kafkaStart)
	defer cancel()
	return c.healthy(ctx)
}

func (c *Cluster) tool(options, class string, args ...string) *exec.Cmd {
	all := strings.Fields(javaAll + " " + options + " " + c.classes)
	all = append(all, "-Dlog4j2.configurationFile="+filepath.Join(c.dir, "log4j2.properties"), "-cp", filepath.Join(c.libs, "*"), class)
	return exec.Command(c.java, append(all, args...)...)
}

func (c *Cluster) format(b *broker) error {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of broker %d: %w", b.id, err)
	}
	if err := os.WriteFile(b.properties(), []byte(serverProperties(b, c.brokers, c.options)), 0o644); err != nil {
		return fmt.Errorf("configuring broker %d: %w", b.id, err)
	}
	out, err := c.tool(smallBroker, "kafka.tools.StorageTool", "format", "--cluster-id", clusterID, "--config", b.properties()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("formatting broker %d: %w: %s", b.id, err, out)
	}
	return nil
}

func (c *Cluster) start(b *broker) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.child != nil && !b.child.ended() {
		return fmt.Errorf("broker %d is up already", b.id)
	}
	child, err := launch(fmt.Sprint("broker ", b.id), filepath.Join(b.dir, "server.log"), c.tool(c.options, "kafka.Kafka", b.properties()))
	if err != nil {
		return err
	}
	b.child = child
	return nil
}

func (c *Cluster) down(b *broker) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.child == nil || b.child.ended()
}

func (c *Cluster) running(b *broker) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return b.child
}

func (c *Cluster) broker(t testing.TB, id int) *broker {
	t.Helper()
	if id < 1 || id > len(c.brokers) {
		t.Fatalf("no broker %d among %d", id, len(c.brokers))
	}
	return c.brokers[id-1]
}

// Brokers are the addresses of all brokers, host:port, in the order of their ids.
func (c *Cluster) Brokers() []string {
	addrs := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		addrs[i] = loopback(b.port)
	}
	return addrs
}

// Kill ends a broker with SIGKILL and returns when it is gone.
func (c *Cluster) Kill(t testing.TB, id int) {
	t.Helper()
	if child := c.running(c.broker(t, id)); child != nil {
		child.kill()
	}
}

// Stop ends a broker cleanly, as an operator would.
func (c *Cluster) Stop(t testing.TB, id int) {
	t.Helper()
	if child := c.running(c.broker(t, id)); child != nil {
		child.stop(kafkaStop)
	}
}

// Restart starts a broker that is down and returns when it answers; Healthy then
// waits for its replicas.
func (c *Cluster) Restart(t testing.TB, id int) {
	t.Helper()
	b := c.broker(t, id)
	if err := c.start(b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), kafkaStart)
	defer cancel()
	if err := c.answers(ctx, b); err != nil {
		t.Fatal(err)
	}
}

// Healthy waits until every broker is up and every replica in sync.
func (c *Cluster) Healthy(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kafkaStart)
	defer cancel()
	if err := c.healthy(ctx); err != nil {
		t.Fatal(err)
	}
}

func (c *Cluster) healthy(ctx context.Context) error {
	for _, b := range c.brokers {
		if err := c.answers(ctx, b); err != nil {
			return err
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return fmt.Errorf("opening a client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	return c.running(c.brokers[0]).await(ctx, "replicas in sync", func(ctx context.Context) error {
		meta, err := admin.Metadata(ctx)
		if err != nil {
			return fmt.Errorf("reading metadata: %w", err)
		}
		if up := len(meta.Brokers); up != len(c.brokers) {
			return fmt.Errorf("%d of %d brokers have joined", up, len(c.brokers))
		}
		for _, topic := range meta.Topics {
			for _, p := range topic.Partitions {
				if p.Err != nil || len(p.ISR) < len(p.Replicas) {
					return fmt.Errorf("%s/%d: %d of %d replicas in sync (error: %w)", p.Topic, p.Partition, len(p.ISR), len(p.Replicas), p.Err)
				}
			}
		}
		return nil
	})
}

// answers waits until one broker serves its API and sees itself in the cluster.
func (c *Cluster) answers(ctx context.Context, b *broker) error {
	child := c.running(b)
	if child == nil {
		return fmt.Errorf("broker %d is down", b.id)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(loopback(b.port)))
	if err != nil {
		return fmt.Errorf("opening a client: %w", err)
	}
	defer client.Close()
	return child.await(ctx, child.name, func(ctx context.Context) error {
		// Asked of a broker each time: kadm answers a question about brokers alone from
		// what its client heard last, which after a restart can be a cluster without b.
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{}
		meta, err := req.RequestWith(ctx, client.SeedBrokers()[0])
		if err != nil {
			return fmt.Errorf("asking for brokers: %w", err)
		}
		for _, known := range meta.Brokers {
			if int(known.NodeID) == b.id {
				return nil
			}
		}
		return fmt.Errorf("broker %d is not registered yet", b.id)
	})
}

// stop ends all brokers at once.
func (c *Cluster) stop() {
	var wg sync.WaitGroup
	for _, b := range c.brokers {
		if child := c.running(b); child != nil {
			wg.Go(child.kill) // nobody reads its data again
		}
	}
	wg.Wait()
}
