package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TLS gives the server a certificate and its key, files of PEM, and switches TLS on for new
// connections; those without it still come in.
func (s *PostgresServer) TLS(t testing.TB, cert, key string) {
	t.Helper()
	for name, from := range map[string]string{"server.crt": cert, "server.key": key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatalf("writing %s: %v", name, err)
		}
		if os.Getuid() == 0 {
			if out, err := exec.CommandContext(t.Context(), "chown", "postgres", path).CombinedOutput(); err != nil {
				t.Fatalf("giving %s to postgres: %v: %s", name, err, out)
			}
		}
	}
	conn := s.Connect(t)
	if _, err := conn.Exec(t.Context(), "alter system set ssl = on"); err != nil {
		t.Fatalf("switching TLS on: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "select pg_reload_conf()"); err != nil {
		t.Fatalf("switching TLS on: %v", err)
	}
}
