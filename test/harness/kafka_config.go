package harness

import (
	"fmt"
	"path/filepath"
	"strings"
)

// clusterID is a fixed cluster id: 16 bytes in URL-safe base64. A test about
// another cluster asks for another one.
const clusterID = "c3RvY2t3ZWF2ZS10ZXN0cw"

// Java options of a broker on two shared cores. The first compiler halves its memory
// and costs no speed here.
const (
	javaAll = "-XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8"
	// smallBroker is for whoever asks whether something is right.
	smallBroker = "-Xms128m -Xmx512m -XX:+UseSerialGC"
	// steadyBroker is for whoever asks how long something takes: the pauses of the
	// serial collector, 20 to 45 ms every four seconds at 5,000 events a second, are a
	// hundredth of all time and so the 99th percentile itself.
	steadyBroker = "-Xms2g -Xmx2g -XX:+AlwaysPreTouch -XX:+UseZGC"
)

const log4jProperties = `rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.name = out
appender.out.type = Console
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1}: %m%n
`

// A broker of a cluster; it is controller too.
type broker struct {
	id, port, controllerPort int
	dir                      string
	child                    *child // nil while it is down
	guard                    *guard // nil: it has no guarded listener
}

func (b *broker) properties() string { return filepath.Join(b.dir, "server.properties") }
func (b *broker) data() string       { return filepath.Join(b.dir, "data") }

// serverProperties is the configuration of one broker of a cluster.
func serverProperties(b *broker, all []*broker, options string) string {
	voters := make([]string, len(all))
	for i, v := range all {
		voters[i] = fmt.Sprintf("%d@%s", v.id, loopback(v.controllerPort))
	}
	replicas := len(all)
	minISR := max(1, replicas-1)
	lines := []string{
		"process.roles=broker,controller",
		fmt.Sprint("node.id=", b.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=CLIENTS://%s,CONTROLLER://%s", loopback(b.port), loopback(b.controllerPort)),
		"advertised.listeners=CLIENTS://" + loopback(b.port),
		"listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"inter.broker.listener.name=CLIENTS",
		"controller.listener.names=CONTROLLER",
		"log.dirs=" + b.data(),

		fmt.Sprint("default.replication.factor=", replicas),
		fmt.Sprint("min.insync.replicas=", minISR),
		fmt.Sprint("offsets.topic.replication.factor=", replicas),
		"offsets.topic.num.partitions=10",
		fmt.Sprint("transaction.state.log.replication.factor=", replicas),
		fmt.Sprint("transaction.state.log.min.isr=", minISR),
		"transaction.state.log.num.partitions=10",
		fmt.Sprint("share.coordinator.state.topic.replication.factor=", replicas),
		fmt.Sprint("share.coordinator.state.topic.min.isr=", minISR),

		"auto.create.topics.enable=false", // a topic nobody applied is a fault, not a topic
		// A transaction that begins while the markers of the one before are written is tried again
		// by the broker (KIP-890), 20 ms later by default.
		"add.partitions.to.txn.retry.backoff.ms=2",
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		// A killed broker is missed in seconds, and may come back as soon.
		"broker.heartbeat.interval.ms=500",
		"broker.session.timeout.ms=3000",
		"controller.quorum.election.timeout.ms=500",
		"controller.quorum.fetch.timeout.ms=1000",
		"replica.lag.time.max.ms=5000",
		"num.network.threads=2",
		"num.io.threads=4",
	}
	if b.guard != nil {
		lines = b.guard.properties(lines)
	}
	if options == smallBroker {
		// Compaction and deletion happen while a test looks on. A steady broker has
		// Kafka's own times for them.
		lines = append(lines,
			"log.cleaner.backoff.ms=1000",
			"log.cleaner.dedupe.buffer.size=16777216",
			"log.initial.task.delay.ms=1000",
			"log.segment.delete.delay.ms=1000",
		)
	}
	return strings.Join(lines, "\n") + "\n"
}
