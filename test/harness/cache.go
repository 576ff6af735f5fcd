package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// cacheRoot is where downloads stay between runs.
func cacheRoot() (string, error) {
	if dir := os.Getenv("STOCKWEAVE_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder (set STOCKWEAVE_CACHE): %w", err)
	}
	return filepath.Join(dir, "stockweave"), nil
}

// cached returns the folder of a download, made by fetch on first use. Its name
// carries a hash of the recipe, so a new version is a new folder; it appears whole
// or not at all, and two test processes do not fetch the same thing twice.
func cached(name string, recipe []byte, fetch func(into string) error) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(recipe)
	dir := filepath.Join(root, name+"-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "harness: fetching %s\n", name)
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", fmt.Errorf("clearing a broken fetch of %s: %w", name, err)
	}
	if err := os.MkdirAll(part, 0o755); err != nil {
		return "", fmt.Errorf("making the folder of %s: %w", name, err)
	}
	if err := fetch(part); err != nil {
		return "", fmt.Errorf("fetching %s: %w", name, err)
	}
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("keeping %s: %w", name, err)
	}
	return dir, nil
}

// lock keeps other test processes from what lies at a path of the cache until unlock is
// called.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the cache lock of %s: %w", filepath.Base(path), err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking the cache of %s: %w", filepath.Base(path), err)
	}
	return func() { _ = f.Close() }, nil // and with it the lock
}
