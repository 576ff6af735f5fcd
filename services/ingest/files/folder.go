// Package files takes messages from folders: of this machine, or over SFTP. A file that
// is whole is claimed by a rename, cut into raw messages that are no larger than one may
// be, and moved to done, or to failed with the reason beside it. What was claimed and not
// finished is gone on with: the ids of a file's messages are functions of the file, so
// that what goes to the log twice is one message to everybody behind it.
package files

import (
	"context"
	"errors"
	"io"
	"time"
)

// Folders that a file goes through, in the folder it was put into.
const (
	claimedDir = "claimed"
	doneDir    = "done"
	failedDir  = "failed"
)

// Folder is a folder with files, wherever it is. Names are relative to it: a name, or one
// of the folders above, a slash and a name. It is used by one goroutine at a time. An
// error of the connection, not of a file, is none of those below and not errUnsafe.
type Folder interface {
	// List returns what is in it or in one of its folders, at most most entries and
	// in no order; more says that there are others.
	List(ctx context.Context, dir string, most int) (entries []Entry, more bool, err error)
	// Stat says what a name is, links not followed; fs.ErrNotExist.
	Stat(ctx context.Context, name string) (Entry, error)
	// Open reads a regular file, never through a link.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Rename never replaces: fs.ErrExist, fs.ErrNotExist. When it returns, the new name
	// outlives a crash, where the file system can say so.
	Rename(ctx context.Context, from, to string) error
	// Write makes a small file whole, or replaces it.
	Write(ctx context.Context, name string, data []byte) error
	// Remove deletes a file; one that is not there is no error.
	Remove(ctx context.Context, name string) error
	// Mkdir makes one of the folders above, where it is not there.
	Mkdir(ctx context.Context, name string) error
	Close() error
}

// Entry is a name in a folder.
type Entry struct {
	Name    string // without the folder
	Size    int64
	Changed time.Time
	Regular bool // a file, not a link, folder or device
	Dir     bool
}

func (e *Entry) same(o *Entry) bool {
	return e.Size == o.Size && e.Changed.Equal(o.Changed) && e.Regular == o.Regular
}

// errUnsafe is what is not opened: it is no regular file.
var errUnsafe = errors.New("not a regular file")
