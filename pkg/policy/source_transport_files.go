package policy

import (
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Files is a folder that a partner, or somebody's file transfer, puts files into. It
// gets the folders claimed, done and failed, on the same file system.
type Files struct {
	Dir    string `yaml:"dir"`     // absolute; or
	DirEnv string `yaml:"dir_env"` // names the variable that has it
	Pickup Pickup `yaml:"pickup"`
}

// SFTP is such a folder on a server of the partner.
type SFTP struct {
	Host    string `yaml:"host"` // host or host:port; 22 without a port; or
	HostEnv string `yaml:"host_env"`
	User    string `yaml:"user"`
	// HostKeys are the server's public keys, as in known_hosts without the name:
	// "ssh-ed25519 AAAA..."; another one ends the connection.
	HostKeys []string `yaml:"host_keys"`
	// HostKeysEnv names a variable with more of them, one a line.
	HostKeysEnv string `yaml:"host_keys_env"`
	PasswordEnv string `yaml:"password_env"`
	// KeyEnv names the variable with the private key, PEM; KeyPassphraseEnv its pass phrase's.
	KeyEnv           string `yaml:"key_env"`
	KeyPassphraseEnv string `yaml:"key_passphrase_env"`
	Dir              string `yaml:"dir"` // on the server; its start folder when empty
	Pickup           Pickup `yaml:"pickup"`
}

// Pickup says which files are taken, when, and in what order.
type Pickup struct {
	// Match are patterns of names (path.Match), all when empty; Skip are those left
	// alone all the same: DefaultSkip when empty.
	Match []string `yaml:"match"`
	Skip  []string `yaml:"skip"`
	// Ready is when a file is whole: ReadyStable when empty.
	Ready string `yaml:"ready"`
	// Settle is how long it must not have changed, for ReadyStable: DefaultSettle when 0.
	Settle time.Duration `yaml:"settle"`
	// Marker is the end of the marker's name, for ReadyMarker: of a file a.csv and .done
	// that is a.csv.done or a.done.
	Marker string `yaml:"marker"`
	// Order is OrderName when empty.
	Order string `yaml:"order"`
	// Repeat is what a file is that has name and content of one before: RepeatDuplicate
	// or RepeatNew; when empty new for a source of balances, else a duplicate.
	Repeat string `yaml:"repeat"`
	// MaxBytes of a file, also unpacked: DefaultFile when 0. MaxWaiting is the most files
	// looked at in a folder: DefaultWaiting when 0. A file older than MaxAge by its time
	// is refused; never when 0.
	MaxBytes   int64         `yaml:"max_bytes"`
	MaxWaiting int           `yaml:"max_waiting"`
	MaxAge     time.Duration `yaml:"max_age"`
	// PartRows is how many lines a part of a file has at most; DefaultPartRows when 0.
	PartRows int `yaml:"part_rows"`
	// Poll is how often the folder is looked at; batch, pages and per_second are not of
	// files.
	Poll Poll `yaml:"poll"`
}

// Ways to know that a file is whole.
const (
	ReadyStable = "stable" // size and time are the same in two looks
	ReadyMarker = "marker" // another file says so
	ReadyRename = "rename" // it gets its name when it is
)

// Orders of files.
const (
	OrderName = "name"
	OrderTime = "time" // of last change, then name
)

// What a file is that has name and content of one before.
const (
	RepeatDuplicate = "duplicate" // its lines have the ids they had
	RepeatNew       = "new"       // unless its time is the same, too
)

// Defaults and bounds of files.
const (
	DefaultSettle  = 10 * time.Second
	DefaultFile    = 1 << 30
	MaxPickup      = 16 << 30
	DefaultWaiting = 10_000
	maxWaiting     = 100_000
)

// DefaultSkip are names of files that are being written, and of hidden ones.
func DefaultSkip() []string {
	return []string{".*", "*.tmp", "*.part", "*.filepart", "*.partial", "*~"}
}

// Defaults is p with what it leaves open, for a source.
func (p Pickup) Defaults(s *Source) Pickup {
	text := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	if len(p.Match) == 0 {
		p.Match = []string{"*"}
	}
	if len(p.Skip) == 0 {
		p.Skip = DefaultSkip()
	}
	text(&p.Ready, ReadyStable)
	text(&p.Order, OrderName)
	if s.Balance != nil {
		text(&p.Repeat, RepeatNew)
	}
	text(&p.Repeat, RepeatDuplicate)
	if p.Settle == 0 {
		p.Settle = DefaultSettle
	}
	if p.MaxBytes == 0 {
		p.MaxBytes = DefaultFile
	}
	if p.MaxWaiting == 0 {
		p.MaxWaiting = DefaultWaiting
	}
	if p.PartRows == 0 {
		p.PartRows = DefaultPartRows
	}
	p.Poll = p.Poll.Defaults()
	return p
}

// WholeOnly says why a file of the source is one message, however large; empty when it
// may be cut at line ends.
func (s *Source) WholeOnly() string {
	bare := *s
	bare.Auth = Auth{} // a signature is of a request
	return bare.whole()
}

func (f *Files) validate(at string, fs *faults) {
	if (f.Dir == "") == (f.DirEnv == "") {
		fs.add(CodeRequired, at+".dir", "dir or dir_env is required")
	}
	if f.Dir != "" && (!path.IsAbs(f.Dir) || path.Clean(f.Dir) != f.Dir || f.Dir == "/") {
		fs.add("", at+".dir", "an absolute path without . and .., not /")
	}
	f.Pickup.validate(at+".pickup", fs)
}

func (f *SFTP) validate(at string, fs *faults) {
	if (f.Host == "") == (f.HostEnv == "") {
		fs.add(CodeRequired, at+".host", "host or host_env is required")
	}
	if f.User == "" {
		fs.add(CodeRequired, at+".user", "required")
	}
	if len(f.HostKeys) == 0 && f.HostKeysEnv == "" {
		fs.add(CodeRequired, at+".host_keys", "host_keys or host_keys_env is required: anybody could be the server")
	}
	for i, k := range f.HostKeys {
		if typ, text, ok := strings.Cut(k, " "); !ok || !slices.Contains(hostKeyTypes(), typ) || !isBase64(text) {
			fs.add("", fmt.Sprintf("%s.host_keys[%d]", at, i), "a type (%s), a space and the key in base64", strings.Join(hostKeyTypes(), ", "))
		}
	}
	if f.PasswordEnv == "" && f.KeyEnv == "" {
		fs.add(CodeRequired, at+".key_env", "key_env or password_env is required")
	}
	if f.KeyPassphraseEnv != "" && f.KeyEnv == "" {
		fs.add(CodeRequired, at+".key_env", "key_passphrase_env is of a key")
	}
	if slices.Contains(strings.Split(f.Dir, "/"), "..") {
		fs.add("", at+".dir", "a path without ..")
	}
	f.Pickup.validate(at+".pickup", fs)
}

// hostKeyTypes are those that a server may have: none with SHA-1 or DSA.
func hostKeyTypes() []string {
	return []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
}

func isBase64(s string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	return err == nil && len(b) > 0
}

func (p *Pickup) validate(at string, fs *faults) {
	for field, list := range map[string][]string{"match": p.Match, "skip": p.Skip} {
		for i, s := range list {
			if _, err := path.Match(s, ""); err != nil || s == "" || strings.Contains(s, "/") {
				fs.add("", fmt.Sprintf("%s.%s[%d]", at, field, i), "a pattern of names, as *.csv")
			}
		}
	}
	oneOf := func(field, s string, all ...string) {
		if s != "" && !slices.Contains(all, s) {
			fs.add("", at+"."+field, "must be one of %s, not %q", strings.Join(all, ", "), s)
		}
	}
	oneOf("ready", p.Ready, ReadyStable, ReadyMarker, ReadyRename)
	oneOf("order", p.Order, OrderName, OrderTime)
	oneOf("repeat", p.Repeat, RepeatDuplicate, RepeatNew)
	if (p.Ready == ReadyMarker) != (p.Marker != "") {
		fs.add(CodeConflicting, at+".marker", "marker and ready: marker belong together")
	}
	if m := p.Marker; m != "" && (len(m) < 2 || len(m) > 32 || m[0] != '.' || strings.ContainsAny(m, "/*?[\\")) {
		fs.add("", at+".marker", "the end of a name, as .done")
	}
	if p.Settle != 0 && (p.Ready != "" && p.Ready != ReadyStable) {
		fs.add(CodeConflicting, at+".settle", "is of ready: stable")
	}
	if p.Settle < 0 || p.Settle > time.Hour {
		fs.add(CodeOutOfRange, at+".settle", "must be between 0 and 1h")
	}
	if p.MaxBytes < 0 || p.MaxBytes > MaxPickup {
		fs.add(CodeOutOfRange, at+".max_bytes", "must be between 1 and %d", int64(MaxPickup))
	}
	if p.MaxWaiting < 0 || p.MaxWaiting > maxWaiting {
		fs.add(CodeOutOfRange, at+".max_waiting", "must be between 1 and %d", maxWaiting)
	}
	if p.MaxAge < 0 {
		fs.add(CodeOutOfRange, at+".max_age", "must not be negative")
	}
	if p.PartRows < 0 || p.PartRows > DefaultMaxLines {
		fs.add(CodeOutOfRange, at+".part_rows", "must be between 1 and %d", DefaultMaxLines)
	}
	if p.Poll.Batch != 0 || p.Poll.Pages != 0 || p.Poll.PerSecond != 0 {
		fs.add(CodeConflicting, at+".poll", "batch, pages and per_second are not of files")
	}
	*fs = append(*fs, p.Poll.validate(at+".poll")...)
}
