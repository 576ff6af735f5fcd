// Package soap has what SOAP 1.1 (W3C Note of 8 May 2000) and SOAP 1.2 part 1
// (Second Edition) say about envelopes and faults. It does no I/O.
package soap

import (
	"encoding/xml"
	"strings"
)

// Versions.
const (
	V11 = "1.1"
	V12 = "1.2"
)

// Namespaces of envelopes.
const (
	NS11 = "http://schemas.xmlsoap.org/soap/envelope/"
	NS12 = "http://www.w3.org/2003/05/soap-envelope"
)

// VersionOf is the version whose envelope has a namespace; empty for others.
func VersionOf(ns string) string {
	switch ns {
	case NS11:
		return V11
	case NS12:
		return V12
	}
	return ""
}

// Fault is an answer that says a message was not taken.
type Fault struct {
	// Sender: the message is wrong, and sending it again does not help. Else the
	// fault is the receiver's, and it may.
	Sender bool
	Code   string // stable, snake_case; subcode in SOAP 1.2, detail in both
	Reason string // for people, in English
}

// ContentType is that of answers in a version.
func ContentType(version string) string {
	if version == V12 {
		return "application/soap+xml; charset=utf-8"
	}
	return "text/xml; charset=utf-8"
}

// Status is the HTTP status of the fault: 500 in SOAP 1.1 (§6.2); in SOAP 1.2 400
// for the sender's and 500 for the receiver's (part 2 §7.5.2.2).
func (f *Fault) Status(version string) int {
	if version == V12 && f.Sender {
		return 400
	}
	return 500
}

// Append appends the envelope of the fault in a version, V11 when it is none.
// Characters that XML does not have become U+FFFD.
func (f *Fault) Append(b []byte, version string) []byte {
	b = append(b, xml.Header...)
	code, reason := escape(f.Code), escape(f.Reason)
	if version == V12 {
		who := "Receiver"
		if f.Sender {
			who = "Sender"
		}
		b = append(b, `<env:Envelope xmlns:env="`+NS12+`"><env:Body><env:Fault><env:Code><env:Value>env:`+who+`</env:Value>`...)
		if f.Code != "" {
			b = append(b, `<env:Subcode><env:Value xmlns:f="urn:stockweave:fault">f:`+code+`</env:Value></env:Subcode>`...)
		}
		b = append(b, `</env:Code><env:Reason><env:Text xml:lang="en">`+reason+`</env:Text></env:Reason>`...)
		b = append(b, `<env:Detail><code xmlns="urn:stockweave:fault">`+code+`</code></env:Detail>`...)
		return append(b, `</env:Fault></env:Body></env:Envelope>`...)
	}
	who := "Server"
	if f.Sender {
		who = "Client"
	}
	b = append(b, `<env:Envelope xmlns:env="`+NS11+`"><env:Body><env:Fault><faultcode>env:`+who+`</faultcode>`...)
	b = append(b, `<faultstring>`+reason+`</faultstring><detail><code xmlns="urn:stockweave:fault">`+code+`</code></detail>`...)
	return append(b, `</env:Fault></env:Body></env:Envelope>`...)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
