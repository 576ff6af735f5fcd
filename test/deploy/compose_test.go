package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// compose is what the file may hold; decoding is strict, so a misspelt key fails.
type compose struct {
	Name     string                    `yaml:"name"`
	Env      any                       `yaml:"x-environment"`
	Common   any                       `yaml:"x-stockweave"`
	Service  any                       `yaml:"x-service"`
	Services map[string]composeService `yaml:"services"`
	Configs  map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
	Volumes map[string]any `yaml:"volumes"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context string            `yaml:"context"`
		Args    map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string                     `yaml:"command"`
	Environment map[string]string            `yaml:"environment"`
	Configs     []map[string]string          `yaml:"configs"`
	Volumes     []string                     `yaml:"volumes"`
	Ports       []string                     `yaml:"ports"`
	User        string                       `yaml:"user"`
	ReadOnly    bool                         `yaml:"read_only"`
	CapDrop     []string                     `yaml:"cap_drop"`
	SecurityOpt []string                     `yaml:"security_opt"`
	Restart     string                       `yaml:"restart"`
	StopGrace   string                       `yaml:"stop_grace_period"`
	DependsOn   map[string]map[string]string `yaml:"depends_on"`
	Healthcheck struct {
		Test        []string `yaml:"test"`
		Interval    string   `yaml:"interval"`
		Timeout     string   `yaml:"timeout"`
		Retries     int      `yaml:"retries"`
		StartPeriod string   `yaml:"start_period"`
	} `yaml:"healthcheck"`
}

func TestCompose(t *testing.T) {
	var c compose
	if err := yaml.UnmarshalWithOptions(read(t, "docker-compose.yml"), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	names := services(t)
	for _, name := range names {
		s, ok := c.Services[name]
		if !ok {
			t.Errorf("service %s is not there", name)
			continue
		}
		if len(s.Command) == 0 || s.Command[0] != name {
			t.Errorf("%s runs %v", name, s.Command)
		}
		if !slices.Contains(s.Healthcheck.Test, "probe") {
			t.Errorf("%s has the health check %v", name, s.Healthcheck.Test)
		}
		if s.DependsOn["policies"]["condition"] != "service_completed_successfully" {
			t.Errorf("%s starts before the topics and policies are applied", name)
		}
	}
	taken := map[string]string{}
	for name, s := range c.Services {
		for _, port := range s.Ports {
			host, _, _ := strings.Cut(strings.TrimPrefix(port, "127.0.0.1:"), ":")
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond loopback", name, port)
			}
			if other := taken[host]; other != "" {
				t.Errorf("%s and %s publish port %s", name, other, host)
			}
			taken[host] = name
		}
		for on, how := range s.DependsOn {
			other, ok := c.Services[on]
			switch {
			case !ok:
				t.Errorf("%s depends on %s, which is not there", name, on)
			case how["condition"] == "service_healthy" && len(other.Healthcheck.Test) == 0:
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			}
		}
		if s.Image != "stockweave:dev" {
			continue
		}
		if s.User == "" || strings.HasPrefix(s.User, "0") || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) ||
			!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not locked down", name)
		}
	}
	valid(t, names, c.Configs["stockweave"].Content)
}
