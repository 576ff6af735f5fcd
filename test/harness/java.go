package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// javaRelease finds the number in the first line of "java -version": 17 in
// `openjdk version "17.0.13"`, 25 in `openjdk version "25"`.
var javaRelease = regexp.MustCompile(`version "(\d+)`)

// java finds a Java runtime of at least a release among JAVA_HOME, the PATH and
// the folders where runtimes are installed; failing that it installs one.
func java(atLeast int) (string, error) {
	if path := findJava(atLeast); path != "" {
		return path, nil
	}
	var err error
	for _, release := range []int{25, 21, 17} {
		if release < atLeast {
			continue
		}
		if err = install(fmt.Sprintf("openjdk-%d-jre-headless", release)); err == nil {
			break
		}
	}
	if path := findJava(atLeast); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("java %d or newer: %w", atLeast, err)
}

// findJava takes the lowest release that will do: it is what the part was tested
// with.
func findJava(atLeast int) string {
	places := []string{filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")}
	if path, err := exec.LookPath("java"); err == nil {
		places = append(places, path)
	}
	for _, pattern := range []string{"/usr/lib/jvm/*/bin/java", "/opt/*/bin/java", "/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java"} {
		found, err := filepath.Glob(pattern)
		if err == nil {
			places = append(places, found...)
		}
	}
	best, bestRelease := "", 0
	for _, place := range places {
		out, err := exec.Command(place, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		m := javaRelease.FindSubmatch(out)
		if m == nil {
			continue
		}
		release, err := strconv.Atoi(string(m[1]))
		if err != nil || release < atLeast {
			continue
		}
		if best == "" || release < bestRelease {
			best, bestRelease = place, release
		}
	}
	return best
}

// archived returns the option of Java by which a program starts with its classes read and
// checked already, which is half of the processor time of a start. They are kept in the
// cache, by runtime and recipe (application class-data sharing, JEP 350). On first use
// train runs the program once, to a clean end, with the options it is given. Where the runtime
// cannot do it there is no option: a start is slower then, and otherwise the same.
func archived(name, runtime string, recipe []byte, train func(options string) error) (string, error) {
	release, err := exec.Command(runtime, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking %s for its release: %w", runtime, err)
	}
	const file = "classes.jsa"
	dir, err := cached(name+"-classes", bytes.Join([][]byte{recipe, release}, nil), func(into string) error {
		return train("-XX:ArchiveClassesAtExit=" + filepath.Join(into, file))
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, file)
	if _, err := os.Stat(path); err != nil {
		return "", nil
	}
	return "-XX:SharedArchiveFile=" + path, nil
}
