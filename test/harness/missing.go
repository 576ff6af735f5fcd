package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// errMissing marks what this machine lacks and the harness cannot install.
var errMissing = errors.New("missing on this machine")

// demand fails the test on an error; what the machine lacks skips it instead,
// loudly, unless CI=true.
func demand(t testing.TB, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errMissing) && os.Getenv("CI") != "true":
		fmt.Fprintf(os.Stderr, "\n*** NOT RUN: %s needs %s: %v ***\n\n", t.Name(), what, err)
		t.Skipf("NOT RUN: %s: %v", what, err)
	default:
		t.Fatalf("%s: %v", what, err)
	}
}

// command finds a program, installing the Debian package that holds it where
// that can be done.
func command(name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if err := install(debianPackage); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %s, though %s is installed", errMissing, name, debianPackage)
	}
	return path, nil
}

// aptUpdate refreshes the package lists once.
var aptUpdate = sync.OnceValue(func() error { return apt("update", "-qq") })

// install installs a Debian package; only root on such a system can.
func install(debianPackage string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Getuid() != 0 {
		return fmt.Errorf("%w (on Debian: apt-get install %s)", errMissing, debianPackage)
	}
	if err := aptUpdate(); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	fmt.Fprintf(os.Stderr, "harness: installing %s\n", debianPackage)
	if err := apt("install", "-qq", "--no-install-recommends", debianPackage); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	return nil
}

func apt(args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-y", "-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
