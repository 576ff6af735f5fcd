package soap

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestFault(t *testing.T) {
	f := Fault{Sender: true, Code: "xml_syntax", Reason: "line 1: <a> & \"b\"\x00"}
	type fault11 struct {
		XMLName xml.Name `xml:"http://schemas.xmlsoap.org/soap/envelope/ Envelope"`
		Code    string   `xml:"Body>Fault>faultcode"`
		Reason  string   `xml:"Body>Fault>faultstring"`
		Detail  string   `xml:"Body>Fault>detail>code"`
	}
	var a fault11
	if err := xml.Unmarshal(f.Append(nil, V11), &a); err != nil {
		t.Fatal(err)
	}
	if a.Code != "env:Client" || a.Reason != "line 1: <a> & \"b\"\ufffd" || a.Detail != "xml_syntax" {
		t.Errorf("%+v", a)
	}
	type fault12 struct {
		XMLName xml.Name `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
		Code    string   `xml:"Body>Fault>Code>Value"`
		Sub     string   `xml:"Body>Fault>Code>Subcode>Value"`
		Reason  string   `xml:"Body>Fault>Reason>Text"`
		Detail  string   `xml:"Body>Fault>Detail>code"`
	}
	var b fault12
	if err := xml.Unmarshal(f.Append(nil, V12), &b); err != nil {
		t.Fatal(err)
	}
	if b.Code != "env:Sender" || b.Sub != "f:xml_syntax" || b.Reason != a.Reason || b.Detail != "xml_syntax" {
		t.Errorf("%+v", b)
	}
	f = Fault{Reason: "later"}
	if s := string(f.Append(nil, V12)); !strings.Contains(s, "env:Receiver") || strings.Contains(s, "Subcode") {
		t.Error(s)
	}
	if s := string(f.Append([]byte("x"), "")); !strings.HasPrefix(s, "x<?xml") || !strings.Contains(s, "env:Server") {
		t.Error(s)
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		sender  bool
		version string
		want    int
	}{{true, V11, 500}, {false, V11, 500}, {true, V12, 400}, {false, V12, 500}} {
		if got := (&Fault{Sender: tc.sender}).Status(tc.version); got != tc.want {
			t.Errorf("%+v: %d", tc, got)
		}
	}
	if VersionOf(NS11) != V11 || VersionOf(NS12) != V12 || VersionOf("x") != "" || ContentType(V11) == ContentType(V12) {
		t.Error("versions")
	}
}
