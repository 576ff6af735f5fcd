package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// local is a folder of this machine. os.Root keeps every name inside it.
type local struct{ root *os.Root }

// Local opens a folder of this machine, which must be there.
func Local(dir string) (Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening folder: %w", err)
	}
	return &local{root}, nil
}

func (l *local) Close() error { return l.root.Close() } //nolint:wrapcheck // nothing was written

func (l *local) List(ctx context.Context, dir string, most int) (entries []Entry, more bool, err error) {
	if dir == "" {
		dir = "."
	}
	d, err := l.root.Open(dir)
	if err != nil {
		return nil, false, fmt.Errorf("listing: %w", err)
	}
	defer d.Close()
	for ctx.Err() == nil {
		list, err := d.ReadDir(256)
		for _, e := range list {
			if len(entries) >= most {
				return entries, true, nil
			}
			info, err := e.Info() // of the link itself
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone meanwhile
			}
			if err != nil {
				return nil, false, fmt.Errorf("listing: %w", err)
			}
			entries = append(entries, entryOf(info))
		}
		if errors.Is(err, io.EOF) {
			return entries, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("listing: %w", err)
		}
	}
	return nil, false, ctx.Err() //nolint:wrapcheck // the caller's own
}

func entryOf(i fs.FileInfo) Entry {
	return Entry{Name: i.Name(), Size: i.Size(), Changed: i.ModTime(), Regular: i.Mode().IsRegular(), Dir: i.IsDir()}
}

func (l *local) Stat(_ context.Context, name string) (Entry, error) {
	i, err := l.root.Lstat(name)
	if err != nil {
		return Entry{}, fmt.Errorf("looking at file: %w", err)
	}
	return entryOf(i), nil
}

func (l *local) Open(_ context.Context, name string) (io.ReadCloser, error) {
	// Not blocking: a pipe of that name would wait for its writer.
	f, err := l.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: %w", errUnsafe, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errUnsafe
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("opening file: %w", err)
	}
	return f, nil
}

// Rename: whoever works on a flow is alone (see Feed), so that nobody makes the new
// name between the look and the rename.
func (l *local) Rename(_ context.Context, from, to string) error {
	if _, err := l.root.Lstat(to); err == nil {
		return fmt.Errorf("renaming to %s: %w", to, fs.ErrExist)
	}
	if err := l.root.Rename(from, to); err != nil {
		return fmt.Errorf("renaming: %w", err)
	}
	// The new name first: after a crash a file has two names rather than none.
	for _, dir := range []string{path.Dir(to), path.Dir(from)} {
		if err := l.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

func (l *local) sync(dir string) error {
	d, err := l.root.Open(filepath.FromSlash(dir))
	if err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system that cannot
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	return nil
}

func (l *local) Write(_ context.Context, name string, data []byte) error {
	f, err := l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return l.sync(path.Dir(name))
}

func (l *local) Remove(_ context.Context, name string) error {
	if err := l.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing: %w", err)
	}
	return nil
}

func (l *local) Mkdir(_ context.Context, name string) error {
	if i, err := l.root.Lstat(name); err == nil {
		if !i.IsDir() { // a link to elsewhere, say
			return fmt.Errorf("making folder %s: %w", name, fs.ErrExist)
		}
		return nil
	}
	if err := l.root.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	return l.sync(".")
}
