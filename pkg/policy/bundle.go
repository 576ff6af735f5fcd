package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// maxContent bounds what is published under one name, bytes: a record of policies.v1
// holds it.
const maxContent = 900_000

// bundle is files as they travel.
type bundle struct {
	File  string            `json:"file,omitempty"` // of a source: its own among them
	Files map[string]string `json:"files"`
}

// seal is the files named, as they are published, and the SHA-256 of that in hex. Equal
// files give equal bytes.
func (b bundle) seal(from fs.FS, names []string) (content []byte, hash string, err error) {
	b.Files = make(map[string]string, len(names))
	for _, name := range names {
		file, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, "", err //nolint:wrapcheck // the caller says of what
		}
		b.Files[name] = string(file)
	}
	if content, err = json.Marshal(b); err != nil {
		return nil, "", err //nolint:wrapcheck // the same
	}
	if len(content) > maxContent {
		return nil, "", fmt.Errorf("%d bytes with all files, more than %d", len(content), maxContent)
	}
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:]), nil
}

// unseal reads what seal wrote, and nothing else.
func unseal(content []byte) (b bundle, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err = d.Decode(&b); err == nil && d.InputOffset() < int64(len(content)) {
		err = errors.New("more follows behind it")
	}
	return b, err //nolint:wrapcheck // the same
}
