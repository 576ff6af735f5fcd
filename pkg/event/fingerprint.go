package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/hamba/avro/v2"
)

// Fingerprint is the SHA-256 of a schema's parsing canonical form, in hex (Apache
// Avro 1.12 specification, "Parsing Canonical Form for Schemas").
func Fingerprint(schema string) (string, error) {
	s, err := parse(schema)
	if err != nil {
		return "", fmt.Errorf("parsing schema: %w", err)
	}
	return fingerprintOf(s), nil
}

func fingerprintOf(s avro.Schema) string {
	sum := sha256.Sum256(appendCanonical(nil, s))
	return hex.EncodeToString(sum[:])
}

// appendCanonical is our own because the library keeps logical types, which the
// canonical form strips: other tools would compute another fingerprint.
func appendCanonical(b []byte, s avro.Schema) []byte {
	switch s := s.(type) {
	case *avro.RefSchema:
		return strconv.AppendQuote(b, s.Schema().FullName())
	case *avro.RecordSchema:
		b = appendNamed(b, s.FullName(), "record", "fields")
		b = appendList(b, len(s.Fields()), func(b []byte, i int) []byte {
			b = append(strconv.AppendQuote(append(b, `{"name":`...), s.Fields()[i].Name()), `,"type":`...)
			return append(appendCanonical(b, s.Fields()[i].Type()), '}')
		})
		return append(b, '}')
	case *avro.EnumSchema:
		b = appendNamed(b, s.FullName(), "enum", "symbols")
		b = appendList(b, len(s.Symbols()), func(b []byte, i int) []byte { return strconv.AppendQuote(b, s.Symbols()[i]) })
		return append(b, '}')
	case *avro.FixedSchema:
		return append(strconv.AppendInt(appendNamed(b, s.FullName(), "fixed", "size"), int64(s.Size()), 10), '}')
	case *avro.ArraySchema:
		return append(appendCanonical(append(b, `{"type":"array","items":`...), s.Items()), '}')
	case *avro.MapSchema:
		return append(appendCanonical(append(b, `{"type":"map","values":`...), s.Values()), '}')
	case *avro.UnionSchema:
		return appendList(b, len(s.Types()), func(b []byte, i int) []byte { return appendCanonical(b, s.Types()[i]) })
	default:
		return strconv.AppendQuote(b, string(s.Type()))
	}
}

func appendNamed(b []byte, name, typ, last string) []byte {
	b = strconv.AppendQuote(append(b, `{"name":`...), name)
	b = strconv.AppendQuote(append(b, `,"type":`...), typ)
	return append(strconv.AppendQuote(append(b, ','), last), ':')
}

func appendList(b []byte, n int, item func(b []byte, i int) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, i)
	}
	return append(b, ']')
}
