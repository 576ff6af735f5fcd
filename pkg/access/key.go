package access

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"strings"
)

// A key reads swk_<43 characters>_<6 characters>: 256 random bits and the CRC-32
// (IEEE 802.3) of all before the last underscore, both in base 62. The prefix lets
// scanners of repositories and logs find one that has leaked, and the checksum says
// of a mistyped one that it never was a key.
const (
	keyPrefix  = "swk_"
	keyBody    = 43
	keySum     = 6
	keyLen     = len(keyPrefix) + keyBody + 1 + keySum
	keyShown   = 8 // characters of the body that may be shown
	keyEntropy = 32
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey makes a key. It is shown once and kept nowhere; what is kept is its hash.
func NewKey(random io.Reader) (string, error) {
	var b [keyEntropy]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	body := keyPrefix + inBase62(new(big.Int).SetBytes(b[:]), keyBody)
	return body + "_" + checksum(body), nil
}

// HashKey is what is kept of a key. A key has 256 random bits, so that a plain hash
// is as good as a slow one.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// KeyID is the part of a key that may be shown and stands in the policy, so that
// people can tell keys apart; empty of what is no such key.
func KeyID(key string) string {
	if !WellFormed(key) {
		return ""
	}
	return key[:len(keyPrefix)+keyShown]
}

// WellFormed says whether a text is a key by its form and checksum, whoever has it.
func WellFormed(key string) bool {
	if len(key) != keyLen || !strings.HasPrefix(key, keyPrefix) {
		return false
	}
	body, sum := key[:keyLen-keySum-1], key[keyLen-keySum:]
	for _, c := range key[len(keyPrefix) : len(keyPrefix)+keyBody] {
		if !strings.ContainsRune(base62, c) {
			return false
		}
	}
	return key[len(body)] == '_' && checksum(body) == sum
}

func checksum(body string) string {
	return inBase62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), keySum)
}

func inBase62(n *big.Int, width int) string {
	out := make([]byte, width)
	base, digit := big.NewInt(int64(len(base62))), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = base62[digit.Int64()]
	}
	return string(out)
}
