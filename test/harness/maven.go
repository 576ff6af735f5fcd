package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fetchLimit bounds one download.
const fetchLimit = 5 * time.Minute

// artifacts copies what a pom depends on into a folder.
func artifacts(pom []byte, into string) error {
	cache, err := cacheRoot()
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(cache, "maven")) // its own cache is not for two at a time
	if err != nil {
		return err
	}
	defer unlock()
	maven, err := command("mvn", "maven")
	if err != nil {
		return err
	}
	dir, err := folder("maven")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(path, pom, 0o644); err != nil {
		return fmt.Errorf("writing the pom: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, maven, "--batch-mode", "--quiet", "--file", path,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+into)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copying artifacts: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
