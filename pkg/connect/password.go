package connect

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxPassword bounds a file with a password, bytes.
const maxPassword = 4 << 10

// Password reads a password from a file: a line end behind it is none of it. No error has
// any of what is in the file.
func Password(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxPassword {
		return "", fmt.Errorf("%s is larger than %d bytes", file, maxPassword)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	if strings.ContainsAny(text, "\x00\r\n") {
		return "", fmt.Errorf("%s has more than one line, or a zero byte", file)
	}
	return text, nil
}
