package xmltext

import (
	"bytes"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// encodings are the names of what is read, as documents write them.
var encodings = map[string]string{
	"utf-8": policy.UTF8, "utf8": policy.UTF8, "us-ascii": policy.ASCII, "ascii": policy.ASCII,
	"iso-8859-1": policy.Latin1, "iso_8859-1": policy.Latin1, "latin1": policy.Latin1,
	"windows-1252": policy.Windows1252, "cp1252": policy.Windows1252, "utf-16": policy.UTF16,
}

func decode(body []byte, encoding string) ([]byte, *format.Fault) {
	mark := bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff})
	switch name, stated := declared(body); {
	case mark:
		encoding = policy.UTF16
	case stated:
		known, ok := encodings[strings.ToLower(name)]
		if !ok {
			return nil, format.Faultf("xml_encoding", "encoding %.40q is not read", name)
		}
		// A declaration that can be read as ASCII belies UTF-16: then the source decides.
		if known != policy.UTF16 || encoding == "" {
			encoding = known
		}
	}
	body, err := format.Decode(body, encoding)
	if err != nil {
		return nil, format.Faultf("xml_encoding", "%v", err)
	}
	if len(body) > 1 && (body[0] == 0 || body[1] == 0) {
		return nil, format.Faultf("xml_encoding", "UTF-16 or UTF-32 without a byte order mark")
	}
	if at := format.InvalidUTF8(body); at >= 0 {
		return nil, format.Faultf("invalid_utf8", "%s: not UTF-8", format.Place(body, at))
	}
	return body, nil
}

// declared is the encoding of the XML declaration, which is ASCII in every encoding
// that needs one.
func declared(body []byte) (string, bool) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(body, []byte("<?xml")) {
		return "", false
	}
	head := body[:min(len(body), 256)]
	if end := bytes.Index(head, []byte("?>")); end >= 0 {
		head = head[:end]
	}
	_, rest, ok := bytes.Cut(head, []byte("encoding"))
	if rest = bytes.TrimLeft(rest, " \t\r\n"); !ok || len(rest) == 0 || rest[0] != '=' {
		return "", false
	}
	if rest = bytes.TrimLeft(rest[1:], " \t\r\n"); len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return "", false
	}
	name, _, ok := bytes.Cut(rest[1:], rest[:1])
	return string(name), ok
}
