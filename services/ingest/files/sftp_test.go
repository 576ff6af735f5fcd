package files

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/stockweave/stockweave/pkg/policy"
)

func signer(t *testing.T, seed byte) ssh.Signer {
	t.Helper()
	b := make([]byte, ed25519.SeedSize)
	b[0] = seed
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sshServer serves SFTP to who has the password; deaf, it takes connections and says
// nothing. Each connection gets only the first budget bytes, where that is set.
func sshServer(t *testing.T, host ssh.Signer, deaf *atomic.Bool, budget *atomic.Int64) string {
	t.Helper()
	cfg := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		if string(password) == "right" {
			return nil, nil //nolint:nilnil // as x/crypto wants it
		}
		return nil, errors.New("wrong")
	}}
	cfg.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if deaf != nil && deaf.Load() {
				continue
			}
			if budget != nil && budget.Load() > 0 {
				c = &brief{Conn: c, left: budget.Load()}
			}
			go serve(c, cfg)
		}
	}()
	return l.Addr().String()
}

// brief is a connection that breaks off.
type brief struct {
	net.Conn
	left int64
}

func (b *brief) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		_ = b.Close()
		return 0, io.ErrClosedPipe
	}
	return b.Conn.Write(p)
}

func serve(c net.Conn, cfg *ssh.ServerConfig) {
	conn, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range reqs {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(ch)
		if err != nil {
			return
		}
		go func() {
			_ = server.Serve()
			_ = ch.Close()
		}()
	}
}

func serverOf(t *testing.T, addr, dir, password string, host ssh.PublicKey) *Server {
	t.Helper()
	s, err := ServerOf(&policy.SFTP{
		Host: addr, User: "u", PasswordEnv: "PW", Dir: dir,
		HostKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host)))},
	}, func(string) string { return password })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) overSFTP(s *Server) *Feed {
	f := r.feed()
	f.Open = s.Connect
	return f
}

func TestSFTP(t *testing.T) {
	host := signer(t, 1)
	var budget atomic.Int64
	addr := sshServer(t, host, nil, &budget)
	r := newRig(t, policy.FormatCSV)
	r.put("a.csv", "sku\nA\nB\nC\n")
	r.put("b.csv", "sku\n"+strings.Repeat("row\n", 100_000))
	if err := os.Symlink("/etc/passwd", filepath.Join(r.dir, "c.csv")); err != nil {
		t.Fatal(err)
	}
	r.pickup.PartRows = 1000
	f := r.overSFTP(serverOf(t, addr, r.dir, "right", host.PublicKey()))
	p := f.Pickup.Defaults(f.Source)
	// Connections that break off further and further on.
	broken := 0
	for n := int64(2000); ; n += 150_000 {
		budget.Store(n)
		if _, err := f.round(t.Context(), t.Context(), &p, looks{}, time.UTC); err == nil {
			break
		} else if codeOf(err) != codeFolder {
			t.Fatal(err)
		}
		if broken++; broken > 50 {
			t.Fatal("it never gets through")
		}
	}
	if broken < 3 {
		t.Errorf("%d connections broke off", broken)
	}
	if got := r.bodies(); len(got) != 101 || got[0] != "sku\nA\nB\nC\n" {
		t.Errorf("%d messages", len(got))
	}
	r.want("", "c.csv")
	r.want(doneDir, "a.csv", "b.csv")
	r.want(failedDir)
}

func TestSFTPRefuses(t *testing.T) {
	host := signer(t, 1)
	addr := sshServer(t, host, nil, nil)
	r := newRig(t, policy.FormatCSV)
	_, err := serverOf(t, addr, r.dir, "right", signer(t, 2).PublicKey()).Connect(t.Context())
	if !errors.Is(err, errHostKey) || codeOf(err) != codeHostKey {
		t.Errorf("another server: %v", err)
	}
	_, err = serverOf(t, addr, r.dir, "wrong", host.PublicKey()).Connect(t.Context())
	if err == nil || strings.Contains(err.Error(), "wrong ") {
		t.Errorf("wrong password: %v", err)
	}
	d, err := serverOf(t, addr, r.dir, "right", host.PublicKey()).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r.put("a", "1")
	r.put("b", "2")
	if err := d.Rename(t.Context(), "a", "b"); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file was replaced: %v", err)
	}
	if err := os.Symlink("a", filepath.Join(r.dir, "l")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context(), "l"); !errors.Is(err, errUnsafe) {
		t.Errorf("a link was read: %v", err)
	}
	list, more, err := d.List(t.Context(), "", 2)
	if len(list) != 2 || !more || err != nil {
		t.Error(list, more, err)
	}
}

// A server that says nothing costs the time-out.
func TestSFTPTimeout(t *testing.T) {
	var deaf atomic.Bool
	deaf.Store(true)
	host := signer(t, 1)
	s := serverOf(t, sshServer(t, host, &deaf, nil), ".", "right", host.PublicKey())
	s.Timeout = 50 * time.Millisecond
	began := time.Now()
	if _, err := s.Connect(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Error(d)
	}
}

func TestServerOf(t *testing.T) {
	env := map[string]string{"H": "files.example", "PW": "secret", "K": "no key: secret", "KEYS": "ssh-ed25519 AAAA\n"}
	p := &policy.SFTP{HostEnv: "H", User: "u", PasswordEnv: "PW", HostKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer(t, 1).PublicKey())))}}
	s, err := ServerOf(p, func(k string) string { return env[k] })
	if err != nil || s.Address != "files.example:22" || s.Dir != "." || !slices.Equal(s.algorithms(), []string{"ssh-ed25519"}) {
		t.Errorf("%+v %v", s, err)
	}
	p.KeyEnv, p.HostKeysEnv, p.PasswordEnv = "K", "KEYS", "MISSING"
	_, err = ServerOf(p, func(k string) string { return env[k] })
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "MISSING") || !strings.Contains(err.Error(), "host key") {
		t.Error(err)
	}
}
