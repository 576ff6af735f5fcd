package main

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
)

// names are those of the metrics that a registry is given, with their labels.
type names map[string]string

var described = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// Register is prometheus.Registerer.
func (n names) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() { c.Describe(descs); close(descs) }()
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			return fmt.Errorf("a metric of no name: %s", d)
		}
		n[m[1]] = m[2]
	}
	return nil
}

// MustRegister is prometheus.Registerer.
func (n names) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := n.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister is prometheus.Registerer.
func (names) Unregister(prometheus.Collector) bool { return false }

// registered are the metrics of all services.
func registered(t *testing.T) names {
	t.Helper()
	kafka, registry := emptyLog(t)
	codecs := withTopics(t, kafka, registry)
	set, err := policy.Load(shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		if strings.HasSuffix(name, "URL") {
			return "http://127.0.0.1:1"
		}
		if name == "KEYS" {
			return "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
		}
		return "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	}
	out := names{}
	for _, e := range serviceTable() {
		cfg := defaultConfig()
		cfg.Kafka = kafka
		cfg.ATPAPI.Subscriptions.KeysEnv = "KEYS"
		cfg.Kafka.Instance, cfg.Kafka.Metrics = "0", out
		health := &service.Health{}
		out.MustRegister(health.Collector())
		env := service.Env{Name: e.name, Log: slog.New(slog.DiscardHandler), Metrics: out, Health: health, Now: time.Now}
		if _, err := e.build(t.Context(), cfg, parts{codecs: codecs, policies: set, getenv: getenv}, env); err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
	}
	return out
}

var (
	metricName = regexp.MustCompile(`\bstockweave_[a-z0-9_]+`)
	grouping   = regexp.MustCompile(`\b(?:by|on) \(([a-z_, ]*)\)`)
)

// Every metric of an alert is one that a service registers, with the labels it is grouped
// by; namespace and pod are those of whoever scrapes.
func TestAlertsAreOfMetricsThatAreThere(t *testing.T) {
	b, err := os.ReadFile("../../helm/stockweave/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Alerts []struct {
			Alert, Expr, Description string
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Alerts) < 10 {
		t.Fatalf("%d alerts", len(file.Alerts))
	}
	known := registered(t)
	for _, a := range file.Alerts {
		metrics := metricName.FindAllString(a.Expr, -1)
		if len(metrics) == 0 || strings.Count(a.Expr, "(") != strings.Count(a.Expr, ")") || strings.Count(a.Expr, "{}") != len(metrics) || !strings.Contains(a.Expr, "LIMIT") {
			t.Errorf("%s: %s", a.Alert, a.Expr)
		}
		for _, m := range metrics {
			labels, ok := known[m]
			if !ok {
				t.Errorf("%s: no service has %s", a.Alert, m)
				continue
			}
			for _, by := range grouping.FindAllStringSubmatch(a.Expr, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if label != "namespace" && label != "pod" && !strings.Contains(","+labels+",", ","+label+",") {
						t.Errorf("%s: %s has no label %s but %s", a.Alert, m, label, labels)
					}
				}
			}
		}
		for _, label := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(a.Description, -1) {
			if !regexp.MustCompile(`\b` + label[1] + `\b`).MatchString(a.Expr) {
				t.Errorf("%s tells of a label %s that it does not have", a.Alert, label[1])
			}
		}
	}
}
