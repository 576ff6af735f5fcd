package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/stockweave/stockweave/pkg/policy"
)

// maxListing bounds what a server may send for one list of a folder, bytes.
const maxListing = 64 << 20

// Server is how to reach a folder over SFTP.
type Server struct {
	Address string // host:port
	User    string
	Auth    []ssh.AuthMethod
	Keys    []ssh.PublicKey // one of which the server must have
	Dir     string
	Timeout time.Duration // of the connection, and of each operation
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// ServerOf reads the secrets of a source's policy. An error names what is missing or
// cannot be read, and never has it in its text.
func ServerOf(p *policy.SFTP, getenv func(string) string) (*Server, error) {
	s := &Server{
		Address: p.Host, User: p.User, Dir: p.Dir, Timeout: p.Pickup.Poll.Defaults().Timeout, Dial: (&net.Dialer{}).DialContext,
	}
	var errs []error
	secret := func(env string) string {
		v := getenv(env)
		if v == "" {
			errs = append(errs, fmt.Errorf("environment variable %s is not set", env))
		}
		return v
	}
	if p.HostEnv != "" {
		s.Address = secret(p.HostEnv)
	}
	if _, _, err := net.SplitHostPort(s.Address); err != nil {
		s.Address = net.JoinHostPort(strings.Trim(s.Address, "[]"), "22")
	}
	if s.Dir == "" {
		s.Dir = "."
	}
	lines := slices.Clone(p.HostKeys)
	if p.HostKeysEnv != "" {
		lines = append(lines, strings.Split(secret(p.HostKeysEnv), "\n")...)
	}
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			errs = append(errs, errors.New("a host key cannot be read"))
			continue
		}
		s.Keys = append(s.Keys, key)
	}
	if len(s.Keys) == 0 {
		errs = append(errs, errors.New("no host key: anybody could be the server"))
	}
	if p.KeyEnv != "" {
		signer, err := signerOf([]byte(secret(p.KeyEnv)), p.KeyPassphraseEnv, secret)
		if err != nil {
			errs = append(errs, fmt.Errorf("the key of %s cannot be read", p.KeyEnv)) // its text may have parts of it
		} else {
			s.Auth = append(s.Auth, ssh.PublicKeys(signer))
		}
	}
	if p.PasswordEnv != "" {
		s.Auth = append(s.Auth, ssh.Password(secret(p.PasswordEnv)))
	}
	return s, errors.Join(errs...)
}

// In is the server with another folder.
func (s *Server) In(dir string) *Server {
	other := *s
	other.Dir = dir
	return &other
}

// Place names the folder.
func (s *Server) Place() string { return "sftp://" + s.User + "@" + s.Address + "/" + s.Dir }

func signerOf(pem []byte, passphraseEnv string, secret func(string) string) (ssh.Signer, error) {
	if passphraseEnv != "" {
		return ssh.ParsePrivateKeyWithPassphrase(pem, []byte(secret(passphraseEnv))) //nolint:wrapcheck // not shown
	}
	return ssh.ParsePrivateKey(pem) //nolint:wrapcheck // not shown
}

// errHostKey is what a server with another key gets.
var errHostKey = errors.New("the server's key is none of those the source names")

// pinned takes only the keys given.
func (s *Server) pinned(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, k := range s.Keys {
		if k.Type() == key.Type() && string(k.Marshal()) == string(key.Marshal()) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has %s %s", errHostKey, key.Type(), ssh.FingerprintSHA256(key))
}

// algorithms are those the keys given can sign with; else a server with several keys
// may show another one.
func (s *Server) algorithms() []string {
	var out []string
	for _, k := range s.Keys {
		switch t := k.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	return out
}

// remote is a folder over SFTP, one connection of it.
type remote struct {
	c       *sftp.Client
	ssh     *ssh.Client
	conn    *metered
	dir     string
	timeout time.Duration
}

// Connect opens the folder: one connection, which ends with the first operation that
// takes longer than Timeout.
func (s *Server) Connect(ctx context.Context) (Folder, error) {
	within, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	raw, err := s.Dial(within, "tcp", s.Address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	r := &remote{conn: &metered{Conn: raw}, dir: s.Dir, timeout: s.Timeout}
	err = r.do(ctx, func() error {
		conn, chans, reqs, err := ssh.NewClientConn(r.conn, s.Address, &ssh.ClientConfig{
			User: s.User, Auth: s.Auth, HostKeyCallback: s.pinned, HostKeyAlgorithms: s.algorithms(), ClientVersion: "SSH-2.0-stockweave",
		})
		if err != nil {
			return err //nolint:wrapcheck // below
		}
		r.ssh = ssh.NewClient(conn, chans, reqs)
		r.c, err = sftp.NewClient(r.ssh)
		return err //nolint:wrapcheck // below
	})
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return r, nil
}

// do ends the connection under an operation that takes too long, or when ctx ends.
func (r *remote) do(ctx context.Context, f func() error) error {
	within, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	stop := context.AfterFunc(within, func() { _ = r.conn.Close() })
	err := f()
	if !stop() && err != nil {
		return fmt.Errorf("%w: %w", context.Cause(within), err)
	}
	return err
}

func (r *remote) Close() error {
	if r.ssh != nil {
		_ = r.ssh.Close()
	}
	return r.conn.Close() //nolint:wrapcheck // it is over
}

func (r *remote) at(name string) string { return path.Join(r.dir, name) }

func (r *remote) List(ctx context.Context, dir string, most int) (entries []Entry, more bool, err error) {
	r.conn.limit.Store(r.conn.read.Load() + maxListing)
	defer r.conn.limit.Store(0)
	var list []os.FileInfo
	err = r.do(ctx, func() error {
		list, err = r.c.ReadDirContext(ctx, r.at(dir))
		return err //nolint:wrapcheck // below
	})
	if err != nil {
		return nil, false, fmt.Errorf("listing: %w", err)
	}
	for _, i := range list {
		if len(entries) >= most {
			return entries, true, nil
		}
		entries = append(entries, entryOf(i))
	}
	return entries, false, nil
}

func (r *remote) Stat(ctx context.Context, name string) (e Entry, err error) {
	err = r.do(ctx, func() error {
		i, err := r.c.Lstat(r.at(name))
		if err != nil {
			return fmt.Errorf("looking at file: %w", err)
		}
		e = entryOf(i)
		return nil
	})
	return e, err
}

func (r *remote) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	// SFTP has no flag against links: look first. Whoever could put one in between has
	// the server.
	e, err := r.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	if !e.Regular {
		return nil, fmt.Errorf("opening file: %w", errUnsafe)
	}
	var f *sftp.File
	err = r.do(ctx, func() error {
		f, err = r.c.Open(r.at(name))
		return err //nolint:wrapcheck // below
	})
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", err)
	}
	return &remoteFile{r: r, ctx: ctx, f: f}, nil
}

// remoteFile reads with the time-out of an operation. Its context is that of the whole
// read, which io.Reader cannot be given.
type remoteFile struct {
	r   *remote
	ctx context.Context //nolint:containedctx // see above
	f   *sftp.File
}

func (f *remoteFile) Read(p []byte) (n int, err error) {
	err = f.r.do(f.ctx, func() error {
		n, err = f.f.Read(p)
		return err //nolint:wrapcheck // io.Reader's own
	})
	return n, err
}

func (f *remoteFile) Close() error { return f.r.do(f.ctx, f.f.Close) }

// Rename by SFTP version 3 (draft-ietf-secsh-filexfer-02 §6.5) fails where the new name
// is there, but not of every server, and with no code of its own.
func (r *remote) Rename(ctx context.Context, from, to string) error {
	if _, err := r.Stat(ctx, to); err == nil {
		return fmt.Errorf("renaming to %s: %w", to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.do(ctx, func() error {
		if err := r.c.Rename(r.at(from), r.at(to)); err != nil {
			return fmt.Errorf("renaming: %w", err)
		}
		return nil
	})
}

func (r *remote) Write(ctx context.Context, name string, data []byte) error {
	return r.do(ctx, func() error {
		f, err := r.c.OpenFile(r.at(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		_, err = f.Write(data)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		return nil
	})
}

func (r *remote) Remove(ctx context.Context, name string) error {
	return r.do(ctx, func() error {
		if err := r.c.Remove(r.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing: %w", err)
		}
		return nil
	})
}

func (r *remote) Mkdir(ctx context.Context, name string) error {
	e, err := r.Stat(ctx, name)
	switch {
	case err == nil && !e.Dir:
		return fmt.Errorf("making folder %s: %w", name, fs.ErrExist)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return r.do(ctx, func() error {
		if err := r.c.Mkdir(r.at(name)); err != nil {
			return fmt.Errorf("making folder: %w", err)
		}
		return nil
	})
}

// metered is a connection that may be given a bound of what is read from it.
type metered struct {
	net.Conn
	read, limit atomic.Int64
}

var errListing = errors.New("the list of the folder is too long")

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if total, limit := m.read.Add(int64(n)), m.limit.Load(); limit > 0 && total > limit {
		return n, errListing
	}
	return n, err //nolint:wrapcheck // net.Conn's own
}
