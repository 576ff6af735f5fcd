package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Limits of a policies folder.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxFiles = 10_000  // of one folder
)

// Load reads a policies folder. The error joins every fault of every file, each a
// *Fault with file and position; then the set is nil.
func Load(dir string) (*Set, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("reading policies: %s is not a folder", dir)
	}
	return LoadFS(os.DirFS(dir))
}

// LoadFS is Load for a file system.
func LoadFS(fsys fs.FS) (*Set, error) {
	l := loader{fsys: fsys}
	var err error
	if l.schemas, err = compileSchemas(); err != nil {
		return nil, err
	}
	set := &Set{Sources: map[inventory.Source]*Source{}, Partners: map[inventory.Source]*Source{}}
	l.sources("sources", set.Sources)
	l.sources("partners", set.Partners)
	l.ledger(set)
	l.atp(set)
	l.erps(set)
	l.channels(set)
	l.promises(set)
	l.check(set)
	l.grants(set)
	l.access(set)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	if set.LedgerContent, set.LedgerHash, err = EncodeLedger(set.Ledger); err != nil {
		return nil, err
	}
	set.ATP.Version = set.Ledger.Version
	if set.ATPContent, set.ATPHash, err = EncodeATP(&set.ATP, set.Channels); err != nil {
		return nil, err
	}
	return set, nil
}

type loader struct {
	fsys    fs.FS
	schemas map[string]*schema
	faults  []error
	roots   map[string]*node // by file, for faults found later
	// ledgerFile is the one file of ownership; empty where there is none.
	ledgerFile string

	keepDays        bool     // stated by a file already
	silenceFile     string   // the one that has the rules for silent owners
	kits, overrides []origin // of those of the set, in its order
}

func (l *loader) fault(file, field, format string, args ...any) {
	l.coded(file, "", field, format, args...)
}

func (l *loader) coded(file, code, field, format string, args ...any) {
	l.faults = append(l.faults, locate(file, l.roots[file], &Fault{Field: field, Code: code, Reason: fmt.Sprintf(format, args...)})...)
}

// files lists a folder's YAML files by name; an absent folder has none.
func (l *loader) files(folder string) []string {
	entries, err := fs.ReadDir(l.fsys, folder)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.fault(folder, "", "%v", err)
		}
		return nil
	}
	var names []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if len(names) == maxFiles {
			l.fault(folder, "", "more than %d files", maxFiles)
			return names
		}
		names = append(names, path.Join(folder, e.Name()))
	}
	return names
}

// read checks a file against its schema and decodes it; false when it has faults.
func (l *loader) read(file, schemaName string, into any) bool {
	b, err := l.bytes(file)
	if err != nil {
		l.fault(file, "", "%v", err)
		return false
	}
	root, err := parse(b)
	if err != nil {
		l.faults = append(l.faults, locate(file, nil, err)...)
		return false
	}
	if l.roots == nil {
		l.roots = map[string]*node{}
	}
	l.roots[file] = root
	if err := l.schemas[schemaName].check(root); err != nil {
		l.faults = append(l.faults, locate(file, root, err)...)
		return false
	}
	if err := decode(b, into); err != nil {
		l.faults = append(l.faults, locate(file, root, err)...)
		return false
	}
	return true
}

func (l *loader) bytes(file string) ([]byte, error) {
	f, err := l.fsys.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return b, nil
}

func (l *loader) sources(folder string, into map[inventory.Source]*Source) {
	for _, file := range l.files(folder) {
		s := l.source(file)
		if s == nil {
			continue
		}
		for i, sample := range s.Samples {
			for _, name := range []string{sample.File, sample.Expected} {
				if _, err := fs.Stat(l.fsys, beside(file, name)); err != nil {
					l.fault(file, fmt.Sprintf("samples[%d]", i), "%s is not there", name)
				}
			}
		}
		if other := into[s.Name]; other != nil {
			l.fault(file, "name", "%s has it already", other.File)
			continue
		}
		into[s.Name] = s
	}
}

// source reads one file and what it names beside it, but for its samples; nil when it
// cannot be read at all.
func (l *loader) source(file string) *Source {
	s := &Source{files: l.fsys}
	if !l.read(file, "source", s) {
		return nil
	}
	s.File = file
	l.mapping(s)
	l.dictionary(s)
	l.names(s)
	if err := s.Validate(); err != nil {
		l.faults = append(l.faults, locate(file, l.roots[file], err)...)
	}
	s.Zone = l.zone(file, s.TimeZone)
	return s
}

func (l *loader) mapping(s *Source) {
	if s.MappingFile == "" {
		return
	}
	if s.Mapping != "" {
		l.fault(s.File, "mapping_file", "mapping is given as well")
		return
	}
	b, err := l.bytes(beside(s.File, s.MappingFile))
	if err != nil {
		l.fault(s.File, "mapping_file", "%v", err)
		return
	}
	s.Mapping = string(b)
}

func (l *loader) dictionary(s *Source) {
	if s.IDoc.Dictionary == "" {
		return
	}
	b, err := l.bytes(beside(s.File, s.IDoc.Dictionary))
	if err == nil {
		s.IDoc.Fields, err = ReadIDocDictionary(bytes.NewReader(b))
	}
	if err != nil {
		l.fault(s.File, "idoc.dictionary", "%v", err)
	}
}

// beside resolves a name relative to the file that has it; what leaves the
// policies folder does not exist for an fs.FS.
func beside(file, name string) string { return path.Join(path.Dir(file), name) }

func (l *loader) zone(file, name string) *time.Location {
	if name == "" {
		return time.UTC
	}
	z, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") {
		l.fault(file, "time_zone", "%q is no IANA time zone", name)
		return time.UTC
	}
	return z
}

func (l *loader) ledger(set *Set) {
	files := l.files("ownership")
	for i, file := range files {
		if i > 0 {
			l.fault(file, "", "%s has the ledger policy already", files[0])
			continue
		}
		var f ledgerFile
		if !l.read(file, "ledger", &f) {
			continue
		}
		l.ledgerFile = file
		set.Ledger = f.policy()
	}
}

func (l *loader) erps(set *Set) {
	for _, file := range l.files("erp") {
		e := ERP{File: file}
		if !l.read(file, "erp", &e) {
			continue
		}
		if err := e.Validate(); err != nil {
			l.faults = append(l.faults, locate(file, l.roots[file], err)...)
		}
		e.Zone = l.zone(file, e.TimeZone)
		if i := slices.IndexFunc(set.ERPs, func(o ERP) bool { return o.Name == e.Name }); i >= 0 {
			l.fault(file, "name", "%s has it already", set.ERPs[i].File)
			continue
		}
		set.ERPs = append(set.ERPs, e)
	}
	slices.SortFunc(set.ERPs, func(a, b ERP) int { return strings.Compare(a.Name, b.Name) })
}

// check looks across files: a policy that names a source nobody has would decide
// for nobody.
func (l *loader) check(set *Set) {
	known := slices.Sorted(maps.Keys(set.Sources))
	file := l.ledgerFile
	if file == "" {
		return
	}
	missing := func(field string, list []inventory.Source) {
		for i, s := range list {
			if !slices.Contains(known, s) {
				l.fault(file, fmt.Sprintf("%s[%d]", field, i), "no file of sources is named %q", s)
			}
		}
	}
	missing("origins", set.Ledger.Origins)
	err := errors.Join(
		checkAuthority(&set.Ledger.Authority, func(s inventory.Source) bool { return set.Sources[s] != nil }),
		checkCounting(&set.Ledger, func(s inventory.Source) bool { return set.Sources[s] != nil }),
	)
	l.faults = append(l.faults, locate(file, l.roots[file], err)...)
}
