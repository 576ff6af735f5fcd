package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Guard is what a cluster's guarded listener asks for: TLS with a client certificate of CA,
// and SASL. Files are PEM.
type Guard struct {
	Cert, Key, CA string
	// User and Password are let in by PLAIN; users of SCRAM are made with an Admin.
	User, Password string
	// Reauth is how long who has said who it is, in milliseconds, need not say it again.
	Reauth int
}

// guard is a broker's.
type guard struct {
	Guard
	port  int
	store string // certificate and key in one file
}

// GuardedKafka is NewKafka with one broker, which beside its listener for tests has a
// guarded one, at the address.
func GuardedKafka(t testing.TB, g Guard) (c *Cluster, addr string) {
	t.Helper()
	held := &guard{Guard: g, store: filepath.Join(t.TempDir(), "store.pem")}
	var both bytes.Buffer
	for _, path := range []string{g.Key, g.Cert} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		both.Write(b)
	}
	if err := os.WriteFile(held.store, both.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	held.port = ports[0]
	c, err = newCluster(1, smallBroker, func(b *broker) { b.guard = held })
	demand(t, "Apache Kafka", err)
	t.Cleanup(c.stop)
	return c, loopback(held.port)
}

// properties adds the listener to those of a broker.
func (g *guard) properties(lines []string) []string {
	const name = "listener.name.guarded."
	for i, l := range lines {
		switch key, _, _ := strings.Cut(l, "="); key {
		case "listeners", "advertised.listeners":
			lines[i] = l + ",GUARDED://" + loopback(g.port)
		case "listener.security.protocol.map":
			lines[i] = l + ",GUARDED:SASL_SSL"
		}
	}
	scram := "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	return append(lines,
		name+"ssl.keystore.type=PEM", name+"ssl.keystore.location="+g.store,
		name+"ssl.truststore.type=PEM", name+"ssl.truststore.location="+g.CA,
		name+"ssl.client.auth=required",
		name+"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		name+fmt.Sprintf("plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=\"%s\";", g.User, g.Password),
		name+"scram-sha-256.sasl.jaas.config="+scram,
		name+"scram-sha-512.sasl.jaas.config="+scram,
		name+fmt.Sprint("connections.max.reauth.ms=", g.Reauth),
	)
}
