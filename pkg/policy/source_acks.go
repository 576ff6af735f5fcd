package policy

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
)

// Acks say which acknowledgements a source gets of what it sends: they tell whether a
// document could be read, not what came of its lines.
type Acks struct {
	// X12 is the answer to a group: AckFunctional or AckImplementation; none when empty.
	X12 string `yaml:"x12"`
	// TA1 says when the interchange itself is answered: TA1Error, TA1Always, or when
	// empty where it asks for it (ISA14) or is at fault.
	TA1 string `yaml:"ta1"`
	// CONTRL answers EDIFACT interchanges.
	CONTRL bool `yaml:"contrl"`
	// Status answers IDocs by IDocs of message STATUS.
	Status bool `yaml:"status"`
	// Files puts them into a folder of the partner, too; of a source that drops files.
	Files *AckFiles `yaml:"files"`
}

// AckFiles is where acknowledgements are put as files.
type AckFiles struct {
	// Dir is a path from the folder of the transport, or an absolute one; DefaultAckDir
	// when empty. A name in that folder is made, any other must be there.
	Dir string `yaml:"dir"`
	// Suffix is the end of their names; DefaultAckSuffix when empty.
	Suffix string `yaml:"suffix"`
}

// Where acknowledgements are put where the source does not say.
const (
	DefaultAckDir    = "out"
	DefaultAckSuffix = ".edi"
)

// Defaults is f with what it leaves open.
func (f AckFiles) Defaults() AckFiles {
	if f.Dir == "" {
		f.Dir = DefaultAckDir
	}
	if f.Suffix == "" {
		f.Suffix = DefaultAckSuffix
	}
	return f
}

// Folder is the path of Dir, of a transport whose folder is at base. It is an error where
// what is put there would be taken again.
func (f AckFiles) Folder(base string) (string, error) {
	at := f.Dir
	if !path.IsAbs(at) {
		at = path.Join(base, at)
	}
	base = path.Clean(base)
	if at == base || slices.Contains([]string{"claimed", "done", "failed"}, path.Base(at)) && path.Dir(at) == base {
		return "", errAckDir
	}
	return at, nil
}

var errAckDir = errors.New("the folder is one that files are taken from or moved to")

var ackSuffixRule = regexp.MustCompile(`^\.[A-Za-z0-9_.-]{0,30}[A-Za-z0-9]$`)

// Acknowledgements of X12, and when the interchange is answered.
const (
	AckFunctional     = "997"
	AckImplementation = "999"

	TA1Error  = "error"
	TA1Always = "always"
)

// validate reports every fault of a source's acknowledgements.
func (a *Acks) validate(s *Source) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: "acks." + field, Reason: fmt.Sprintf(format, args...)})
	}
	if a.X12 != "" && a.X12 != AckFunctional && a.X12 != AckImplementation {
		bad("x12", "must be 997 or 999, not %q", a.X12)
	}
	if a.TA1 != "" && a.TA1 != TA1Error && a.TA1 != TA1Always {
		bad("ta1", "must be error or always, not %q", a.TA1)
	}
	if a.TA1 != "" && a.X12 == "" {
		bad("ta1", "goes with an acknowledgement of groups: say x12 too")
	}
	if a.X12 != "" && s.Format != FormatX12 {
		bad("x12", "only a source of the x12 format gets one")
	}
	if a.X12 != "" && s.X12.Bare {
		bad("x12", "sets without an interchange name nobody to answer")
	}
	if a.CONTRL && s.Format != FormatEDIFACT {
		bad("contrl", "only a source of the edifact format gets one")
	}
	if a.Status && s.Format != FormatIDoc {
		bad("status", "only a source of the idoc format gets one")
	}
	if a.Files != nil {
		a.Files.validate(s, bad)
	}
	return errs
}

func (f *AckFiles) validate(s *Source, bad func(field, format string, args ...any)) {
	base := "/-/-/-" // it is not known, or may be ".": only what lies in it can be compared
	switch t := &s.Transport; {
	case t.Files != nil && t.Files.Dir != "":
		base = t.Files.Dir
	case t.SFTP != nil && t.SFTP.Dir != "":
		base = t.SFTP.Dir
	case t.Files == nil && t.SFTP == nil:
		bad("files", "only a source of transport files or sftp has a folder")
	}
	if s.Acks.X12 == "" && !s.Acks.CONTRL && !s.Acks.Status {
		bad("files", "goes with acknowledgements: say x12, contrl or status")
	}
	with := f.Defaults()
	if path.Clean(with.Dir) != with.Dir || with.Dir == "/" {
		bad("files.dir", "a path without . and needless ..")
	} else if _, err := with.Folder(base); err != nil {
		bad("files.dir", "%v", err)
	}
	if !ackSuffixRule.MatchString(with.Suffix) {
		bad("files.suffix", "the end of a name, as .edi: at most 32 letters, digits, _, . and -")
	}
}
