package soap

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/soap"
)

func envelope(inside string) string {
	return `<s:Envelope xmlns:s="` + soap.NS11 + `">` + inside + `</s:Envelope>`
}

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     error
		version  string
		payload  string
	}{
		{name: "1.1", in: envelope(`<s:Header/><s:Body><o xmlns="urn:o"/></s:Body>`), version: soap.V11, payload: "o"},
		{name: "1.2, with a declaration and a mark", in: "\ufeff" + xml.Header + strings.Replace(envelope(`<s:Body/>`), soap.NS11, soap.NS12, 1), version: soap.V12},
		{name: "a version to come", in: strings.Replace(envelope(`<s:Body/>`), soap.NS11, "urn:3", 1), want: ErrVersion},
		{name: "no envelope", in: `<a/>`, want: ErrEnvelope},
		{name: "nothing", in: ` `, want: ErrEnvelope},
		{name: "no body", in: envelope(`<s:Header/>`), want: ErrEnvelope},
		{name: "two bodies", in: envelope(`<s:Body/><s:Body/>`), want: ErrEnvelope},
		{name: "a header behind the body", in: envelope(`<s:Body/><s:Header/>`), want: ErrEnvelope},
		{name: "a body of somebody else", in: envelope(`<Body/>`), want: ErrEnvelope},
		{name: "two documents", in: envelope(`<s:Body/>`) + `<a/>`, want: ErrEnvelope},
		{name: "text behind it", in: envelope(`<s:Body/>`) + `x`, want: ErrXML},
		{name: "broken off", in: envelope(`<s:Body/>`)[:80], want: ErrXML},
		{name: "tags that do not match", in: envelope(`<s:Body></s:Header>`), want: ErrXML},
		{name: "an entity", in: envelope(`<s:Body><o>&b;</o></s:Body>`), want: ErrXML},
		{name: "a DTD", in: `<!DOCTYPE a SYSTEM "http://evil.example/a.dtd">` + envelope(`<s:Body/>`), want: ErrDTD},
		{name: "a billion laughs", in: `<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>` + envelope(`<s:Body>&b;</s:Body>`), want: ErrDTD},
		{name: "another encoding", in: `<?xml version="1.0" encoding="utf-7"?>` + envelope(`<s:Body/>`), want: ErrXML},
		{name: "an instruction", in: envelope(`<s:Body><?php a?></s:Body>`), want: ErrEnvelope},
		{name: "deep", in: envelope(`<s:Body>` + strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200) + `</s:Body>`), want: ErrDepth},
		{name: "a block that must be understood", in: envelope(`<s:Header><t xmlns="urn:t" s:mustUnderstand="1"/></s:Header><s:Body/>`), want: ErrHeader},
		{name: "one that need not", in: envelope(`<s:Header><t xmlns="urn:t" s:mustUnderstand="0"/></s:Header><s:Body/>`), version: soap.V11},
		{name: "two security headers", in: envelope(`<s:Header><Security xmlns="` + nsSecurity + `"/><Security xmlns="` + nsSecurity + `"/></s:Header><s:Body/>`), want: ErrEnvelope},
		{name: "two tokens", in: envelope(`<s:Header><Security xmlns="` + nsSecurity + `"><UsernameToken/><UsernameToken/></Security></s:Header><s:Body/>`), want: ErrToken},
		{name: "a password of another kind", in: envelope(`<s:Header><Security xmlns="` + nsSecurity + `"><UsernameToken><Password Type="urn:x"/></UsernameToken></Security></s:Header><s:Body/>`), want: ErrToken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := Read([]byte(tc.in))
			if !errors.Is(err, tc.want) || err != nil && tc.want == nil {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil && (e.Version != tc.version || e.Payload.Local != tc.payload || string(e.Stored([]byte(tc.in))) != tc.in) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestFaultsHaveALine(t *testing.T) {
	_, err := Read([]byte(envelope("\n<s:Body>\n<a></b>\n</s:Body>")))
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Error(err)
	}
}

// No password gets into what is stored, whatever stands around it.
func TestStored(t *testing.T) {
	in := envelope(`<s:Header><x/> <Security xmlns="` + nsSecurity + `"><UsernameToken><Username>u</Username><Password>pa55word</Password></UsernameToken></Security><y/></s:Header><s:Body><o/></s:Body>`)
	e, err := Read([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(e.Stored([]byte(in))), envelope(`<s:Header><x/> <y/></s:Header><s:Body><o/></s:Body>`); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if e.Security == nil || e.Security.Username != "u" || e.Security.Password != "pa55word" || e.Security.Digest {
		t.Errorf("%+v", e.Security)
	}
}

func TestTextOnlyWhereItIsAllowed(t *testing.T) {
	token := &Token{Username: "u", Password: "p"}
	if _, err := token.Check(&Rule{Username: "u", Passwords: []string{"old", "p"}, Text: true}, time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := token.Check(&Rule{Username: "u", Passwords: []string{"p"}}, time.Time{}); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
	digest := &Token{Username: "u", Password: "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", Digest: true} // of nothing
	if _, err := digest.Check(&Rule{Username: "u", Passwords: []string{""}, Text: true}, time.Time{}); !errors.Is(err, ErrToken) {
		t.Error("a digest without nonce and time is taken")
	}
}

func TestAction(t *testing.T) {
	for _, tc := range []struct {
		typ, header, version, action string
		ok                           bool
	}{
		{typ: "text/xml; charset=UTF-8", header: `"urn:a"`, version: soap.V11, action: "urn:a", ok: true},
		{typ: "text/xml", version: soap.V11, ok: true},
		{typ: `application/soap+xml; action="urn:a"`, header: "urn:b", version: soap.V12, action: "urn:a", ok: true},
		{typ: "application/soap+xml", version: soap.V11},
		{typ: "text/xml", version: soap.V12},
		{typ: "text/xml; charset=utf-16", version: soap.V11},
		{version: soap.V11},
	} {
		action, ok := Action(http.Header{"Content-Type": {tc.typ}, "Soapaction": {tc.header}}, tc.version)
		if ok != tc.ok || ok && action != tc.action {
			t.Errorf("%+v: %q %v", tc, action, ok)
		}
	}
}

// Answers and descriptions are XML, whatever is in an id or an address.
func TestAnswers(t *testing.T) {
	for _, v := range []string{soap.V11, soap.V12} {
		e, err := Read(Accepted(v, "<&1"))
		if err != nil || e.Version != v || e.Payload != (xml.Name{Space: NS, Local: "Accepted"}) {
			t.Errorf("%s: %+v, %v", v, e, err)
		}
	}
	var d struct {
		Ports []struct {
			Address struct {
				Location string `xml:"location,attr"`
			} `xml:"address"`
		} `xml:"service>port"`
	}
	if err := xml.Unmarshal(WSDL(`http://x/"<&`), &d); err != nil || len(d.Ports) != 2 || d.Ports[1].Address.Location != `http://x/"<&` {
		t.Errorf("%+v, %v", d, err)
	}
}

// FuzzRead: no body panics, and what is stored of one that is taken has no security
// header.
func FuzzRead(f *testing.F) {
	f.Add([]byte(envelope(`<s:Header><Security xmlns="` + nsSecurity + `"><UsernameToken><Username>u</Username><Password>p</Password><Nonce>bg==</Nonce></UsernameToken></Security></s:Header><s:Body><o/></s:Body>`)))
	f.Add([]byte(`<!DOCTYPE a>` + envelope(`<s:Body/>`)))
	f.Add([]byte(envelope(`<s:Header></s:Header><s:Body>&#0;</s:Body>`)))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Read(in)
		if err != nil {
			return
		}
		stored := e.Stored(in)
		again, err := Read(stored)
		if err != nil || again.Security != nil || again.cut != [2]int64{} || again.Payload != e.Payload {
			t.Fatalf("%q is stored as %q: %v", in, stored, err)
		}
		_, _ = e.Security.Check(&Rule{Username: "u", Passwords: []string{"p"}, Text: true}, time.Time{})
	})
}
