package harness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An SSHServer is OpenSSH's server on loopback, with SFTP and one key that may come in
// as the user of the test. It is not safe for concurrent use.
type SSHServer struct {
	User    string
	Key     string // PEM, of who may come in
	HostKey string // type and key, as in known_hosts

	program, dir string
	port         int
	child        *child
}

// SSH starts a server for one test; it ends with the test.
func SSH(t testing.TB) *SSHServer {
	t.Helper()
	s, err := newSSH()
	demand(t, "OpenSSH's server", err)
	t.Cleanup(func() { s.child.killGroup() })
	return s
}

func newSSH() (*SSHServer, error) {
	program, err := command("/usr/sbin/sshd", "openssh-server") // it wants its absolute path
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("asking for the user: %w", err)
	}
	s := &SSHServer{User: me.Username, program: program}
	if s.dir, err = folder("sshd"); err != nil {
		return nil, err
	}
	if s.port, err = Port(); err != nil {
		return nil, err
	}
	hostPEM, host, err := sshKey()
	if err != nil {
		return nil, err
	}
	keyPEM, key, err := sshKey()
	if err != nil {
		return nil, err
	}
	s.Key, s.HostKey = keyPEM, host
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself in
			return nil, fmt.Errorf("making the server's empty folder: %w", err)
		}
	}
	config := fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
`, s.port, s.dir)
	for name, text := range map[string]string{"host": hostPEM, "authorized": key + "\n", "config": config} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return s, s.start()
}

// sshKey is a key: its private half in PEM, and its public half.
func sshKey() (private, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		return "", "", fmt.Errorf("encoding a key: %w", err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", fmt.Errorf("encoding a key: %w", err)
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

func (s *SSHServer) start() error {
	cmd := exec.Command(s.program, "-D", "-e", "-f", filepath.Join(s.dir, "config"))
	child, err := launchGroup("sshd", filepath.Join(s.dir, "sshd.log"), cmd)
	if err != nil {
		return err
	}
	s.child = child
	ctx, cancel := context.WithTimeout(context.Background(), partStart)
	defer cancel()
	return child.await(ctx, "sshd", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		return conn.Close() //nolint:wrapcheck // nothing was written
	})
}

// Addr is host:port.
func (s *SSHServer) Addr() string { return loopback(s.port) }

// Kill ends the server and all its connections at once.
func (s *SSHServer) Kill() { s.child.killGroup() }

// Restart starts it again once it has been killed.
func (s *SSHServer) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}
