package policy

import (
	"strings"
	"testing"
	"time"
)

func TestFilesFaults(t *testing.T) {
	good := func() *Source {
		return &Source{Name: "a", Entity: "acme", Format: FormatCSV, Mapping: ".", MappingVersion: "1", Transport: Transport{SFTP: &SFTP{
			Host: "h", User: "u", KeyEnv: "K", HostKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=="},
		}}}
	}
	if err := good().Validate(); err != nil {
		t.Fatalf("a source that is fetched from needs no auth: %v", err)
	}
	for says, change := range map[string]func(*Source){
		"transport: at most one":                  func(s *Source) { s.Transport.Files = &Files{Dir: "/x"} },
		"auth: an API key":                        func(s *Source) { s.Transport = Transport{} },
		"sftp.host:":                              func(s *Source) { s.Transport.SFTP.HostEnv = "H" },
		"sftp.user:":                              func(s *Source) { s.Transport.SFTP.User = "" },
		"anybody could be the server":             func(s *Source) { s.Transport.SFTP.HostKeys = nil },
		"host_keys[0]":                            func(s *Source) { s.Transport.SFTP.HostKeys[0] = "ssh-dss AAAA" },
		"sftp.key_env:":                           func(s *Source) { s.Transport.SFTP.KeyEnv = "" },
		"sftp.dir:":                               func(s *Source) { s.Transport.SFTP.Dir = "in/../../x" },
		"files.dir: dir or dir_env":               func(s *Source) { s.Transport = Transport{Files: &Files{}} },
		"files.dir: an absolute path":             func(s *Source) { s.Transport = Transport{Files: &Files{Dir: "/a/../b"}} },
		"pickup.match[0]":                         func(s *Source) { s.Transport.SFTP.Pickup.Match = []string{"[a"} },
		"pickup.skip[0]":                          func(s *Source) { s.Transport.SFTP.Pickup.Skip = []string{"a/b"} },
		"pickup.ready":                            func(s *Source) { s.Transport.SFTP.Pickup.Ready = "soon" },
		"pickup.marker: marker and ready: marker": func(s *Source) { s.Transport.SFTP.Pickup.Ready = ReadyMarker },
		"pickup.marker: the end of a name":        func(s *Source) { s.Transport.SFTP.Pickup.Ready, s.Transport.SFTP.Pickup.Marker = ReadyMarker, "done" },
		"pickup.settle: is of ready: stable": func(s *Source) {
			s.Transport.SFTP.Pickup.Ready, s.Transport.SFTP.Pickup.Settle = ReadyRename, time.Second
		},
		"pickup.order":       func(s *Source) { s.Transport.SFTP.Pickup.Order = "size" },
		"pickup.repeat":      func(s *Source) { s.Transport.SFTP.Pickup.Repeat = "no" },
		"pickup.max_bytes":   func(s *Source) { s.Transport.SFTP.Pickup.MaxBytes = MaxPickup + 1 },
		"pickup.max_waiting": func(s *Source) { s.Transport.SFTP.Pickup.MaxWaiting = -1 },
		"pickup.max_age":     func(s *Source) { s.Transport.SFTP.Pickup.MaxAge = -1 },
		"pickup.part_rows":   func(s *Source) { s.Transport.SFTP.Pickup.PartRows = DefaultMaxLines + 1 },
		"pickup.poll: batch": func(s *Source) { s.Transport.SFTP.Pickup.Poll.Batch = 1 },
		"pickup.poll.every":  func(s *Source) { s.Transport.SFTP.Pickup.Poll.Every = time.Millisecond },
	} {
		s := good()
		change(s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not said: %v", says, err)
		}
	}
}

// A count that comes again is another count; a movement that comes again is not.
func TestPickupRepeat(t *testing.T) {
	for _, tc := range []struct {
		said    string
		balance *Balance
		want    string
	}{{"", nil, RepeatDuplicate}, {"", &Balance{}, RepeatNew}, {RepeatDuplicate, &Balance{}, RepeatDuplicate}, {RepeatNew, nil, RepeatNew}} {
		p := Pickup{Repeat: tc.said}
		if got := p.Defaults(&Source{Balance: tc.balance}).Repeat; got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}
