package harness

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed registry/pom.xml
var registryPom []byte

// A RegistryServer is an Apicurio Registry on loopback with its data in a file, so
// that it knows its schemas again after a restart. It is not safe for concurrent
// use.
type RegistryServer struct {
	java, app, dir       string
	classes              []string // the option of Java that starts with them read already
	port, managementPort int
	child                *child
}

var sharedRegistry once[*RegistryServer]

// RegistryAhead begins to start the registry of Registry, which takes seconds, beside what
// the test does next. How it went is told by Registry.
func RegistryAhead() { go func() { _, _ = sharedRegistry.get(newRegistry) }() }

// Registry returns the registry that all tests of this process share, up. It keeps
// what earlier tests registered.
func Registry(t testing.TB) *RegistryServer {
	t.Helper()
	s, err := sharedRegistry.get(newRegistry)
	demand(t, "Apicurio Registry", err)
	if s.child.ended() {
		s.Restart(t)
	}
	return s
}

func newRegistry() (*RegistryServer, error) {
	runtime, err := java(21)
	if err != nil {
		return nil, err
	}
	app, err := cached("registry", registryPom, fetchRegistry)
	if err != nil {
		return nil, err
	}
	classes, err := archived("registry", runtime, []byte(app), func(option string) error {
		s, err := startRegistry(&RegistryServer{java: runtime, app: app, classes: []string{option}})
		if err == nil {
			s.child.stop(partStart) // it writes the archive as it ends
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return startRegistry(&RegistryServer{java: runtime, app: app, classes: strings.Fields(classes)})
}

// startRegistry gives a registry its folder and its ports, and starts it.
func startRegistry(s *RegistryServer) (*RegistryServer, error) {
	var err error
	if s.dir, err = folder("registry"); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s.port, s.managementPort = ports[0], ports[1]
	return s, s.start()
}

func fetchRegistry(into string) error {
	archives, err := folder("registry-archive")
	if err != nil {
		return err
	}
	if err := artifacts(registryPom, archives); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(archives, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("finding the one archive among %q: %w", found, err)
	}
	if out, err := exec.Command("tar", "-xzf", found[0], "-C", into).CombinedOutput(); err != nil {
		return fmt.Errorf("unpacking: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Remove(found[0])
}

func (s *RegistryServer) start() error {
	cmd := exec.Command(s.java, append(s.classes, "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dquarkus.http.host=127.0.0.1", fmt.Sprint("-Dquarkus.http.port=", s.port),
		"-Dquarkus.management.host=127.0.0.1", fmt.Sprint("-Dquarkus.management.port=", s.managementPort),
		"-Dapicurio.storage.kind=sql", "-Dapicurio.storage.sql.kind=h2",
		"-Dapicurio.datasource.url=jdbc:h2:file:"+filepath.Join(s.dir, "registry")+";WRITE_DELAY=0",
		// Confluent's rules: one id for one content, whatever its white space.
		"-Dapicurio.ccompat.legacy-id-mode.enabled=false", "-Dapicurio.ccompat.use-canonical-hash=true",
		"-Dapicurio.rest.deletion.artifact.enabled=true", "-Dapicurio.rest.deletion.artifact-version.enabled=true",
		"-jar", "quarkus-run.jar")...)
	cmd.Dir = s.app
	child, err := launch("registry", filepath.Join(s.dir, "registry.log"), cmd)
	if err != nil {
		return err
	}
	s.child = child
	ctx, cancel := context.WithTimeout(context.Background(), partStart)
	defer cancel()
	return child.await(ctx, "the registry", func(ctx context.Context) error { return answersOK(ctx, s.URL()+"/subjects") })
}

// URL is the base of the Confluent-compatible API.
func (s *RegistryServer) URL() string { return "http://" + loopback(s.port) + "/apis/ccompat/v7" }

// Kill ends the registry with SIGKILL.
func (s *RegistryServer) Kill() { s.child.kill() }

// Stop ends the registry cleanly.
func (s *RegistryServer) Stop() { s.child.stop(stopGrace) }

// Restart starts a stopped registry on its old address, with what it knew.
func (s *RegistryServer) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
}

// answersOK asks a URL once and wants 200.
func answersOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fatal{fmt.Errorf("asking %s: %w", url, err)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
