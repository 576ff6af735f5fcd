package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Names in policies.v1: one record for each version of a source, and the list of
// those that hold, which comes after them.
const (
	SourcesName  = "sources"
	SourcePrefix = "source/"
)

// MaxSourceContent bounds what is published of a source, bytes.
const MaxSourceContent = maxContent

// parts are the files a source is made of: its own and those it names, without samples,
// which no service reads.
func (s *Source) parts() []string {
	out := []string{s.File}
	for _, name := range []string{s.MappingFile, s.IDoc.Dictionary, s.ItemsFile, s.UnitAliasesFile} {
		if name != "" {
			out = append(out, beside(s.File, name))
		}
	}
	return out
}

// EncodeSource is a source that Load has read as it is published, and its SHA-256 in
// hex. Equal files give equal bytes.
func EncodeSource(s *Source) (content []byte, hash string, err error) {
	if s.files == nil {
		return nil, "", fmt.Errorf("encoding source %s: it was not read from a file", s.Name)
	}
	if content, hash, err = (bundle{File: s.File}).seal(s.files, s.parts()); err != nil {
		return nil, "", fmt.Errorf("encoding source %s: %w", s.Name, err)
	}
	return content, hash, nil
}

// DecodeSource reads what EncodeSource wrote, as strictly as Load. The error joins
// every fault.
func DecodeSource(content []byte) (*Source, error) {
	c, err := unseal(content)
	if err != nil {
		return nil, fmt.Errorf("decoding source: %w", err)
	}
	return loadSource(memory(c.Files), c.File)
}

// LoadSource reads one file of a source, wherever it lies, with what it names beside
// it.
func LoadSource(file string) (*Source, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("reading source: %w", err)
	}
	// From the folder above: files beside it may be those of ../samples.
	dir := filepath.Dir(abs)
	return loadSource(os.DirFS(filepath.Dir(dir)), path.Join(filepath.Base(dir), filepath.Base(abs)))
}

func loadSource(files fs.FS, file string) (*Source, error) {
	l := loader{fsys: files}
	var err error
	if l.schemas, err = compileSchemas(); err != nil {
		return nil, err
	}
	s := l.source(file)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	return s, nil
}

// EncodeSources is the list of the sources that hold, by the version of each.
func EncodeSources(versions map[inventory.Source]int64) (content []byte, hash string, err error) {
	if content, err = json.Marshal(versions); err != nil {
		return nil, "", fmt.Errorf("encoding the list of sources: %w", err)
	}
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:]), nil
}

// DecodeSources reads what EncodeSources wrote.
func DecodeSources(content []byte) (map[inventory.Source]int64, error) {
	var out map[inventory.Source]int64
	if err := json.Unmarshal(content, &out); err != nil {
		return nil, fmt.Errorf("decoding the list of sources: %w", err)
	}
	return out, nil
}

// memory is a file system of texts by path.
type memory map[string]string

// ReadDir is fs.ReadDirFS, of a folder with files alone.
func (m memory) ReadDir(name string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for _, file := range slices.Sorted(maps.Keys(m)) {
		if path.Dir(file) == name {
			out = append(out, fs.FileInfoToDirEntry(&memoryFile{name: path.Base(file), size: int64(len(m[file]))}))
		}
	}
	if out == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return out, nil
}

// Open is fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	text, ok := m[name]
	if !ok || !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{Reader: strings.NewReader(text), name: path.Base(name), size: int64(len(text))}, nil
}

type memoryFile struct {
	io.Reader
	name string
	size int64
}

// Stat is fs.File.
func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }

// Close is fs.File.
func (*memoryFile) Close() error { return nil }

// Name is fs.FileInfo.
func (f *memoryFile) Name() string { return f.name }

// Size is fs.FileInfo.
func (f *memoryFile) Size() int64 { return f.size }

// Mode is fs.FileInfo.
func (*memoryFile) Mode() fs.FileMode { return 0o444 }

// ModTime is fs.FileInfo.
func (*memoryFile) ModTime() time.Time { return time.Time{} }

// IsDir is fs.FileInfo.
func (*memoryFile) IsDir() bool { return false }

// Sys is fs.FileInfo.
func (*memoryFile) Sys() any { return nil }
