package soap

import (
	"encoding/xml"
	"mime"
	"net/http"
	"strings"

	"github.com/stockweave/stockweave/pkg/soap"
)

// NS is the namespace of answers and of the description.
const NS = "urn:stockweave:ingest"

// Action is the action of a request: SOAPAction of 1.1 (§6.1.1), in quotes, or the
// parameter of its media type of 1.2 (part 2 §6.5.3, RFC 3902). ok is false where the
// media type is that of neither, or not that of the envelope's version.
func Action(h http.Header, version string) (action string, ok bool) {
	typ, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return "", false
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") && !strings.EqualFold(set, "us-ascii") {
		return "", false
	}
	if version == soap.V12 {
		return params["action"], typ == "application/soap+xml"
	}
	return strings.Trim(strings.TrimSpace(h.Get("SOAPAction")), `"`), typ == "text/xml"
}

// VersionOf guesses the version a sender speaks by its media type, for faults of what
// is no envelope.
func VersionOf(h http.Header) string {
	if typ, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil && typ == "application/soap+xml" {
		return soap.V12
	}
	return soap.V11
}

// Accepted is the envelope that says a message was taken, under its id.
func Accepted(version, id string) []byte {
	ns := soap.NS11
	if version == soap.V12 {
		ns = soap.NS12
	}
	b := []byte(xml.Header)
	b = append(b, `<env:Envelope xmlns:env="`+ns+`"><env:Body><Accepted xmlns="`+NS+`"><id>`+escape(id)+`</id></Accepted></env:Body></env:Envelope>`...)
	return b
}

// WSDL is a description (WSDL 1.1) of one operation that takes a document of any kind
// and answers with its id, in SOAP 1.1 and 1.2 at one address.
func WSDL(address string) []byte {
	const head = xml.Header + `<definitions name="Messages" targetNamespace="` + NS + `" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="` + NS +
		`" xmlns:s11="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:s12="http://schemas.xmlsoap.org/wsdl/soap12/">
<types><schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="` + NS + `" elementFormDefault="qualified">
<element name="Document"><complexType><sequence><any processContents="lax" maxOccurs="unbounded"/></sequence></complexType></element>
<element name="Accepted"><complexType><sequence><element name="id" type="string"/></sequence></complexType></element>
</schema></types>
<message name="Send"><part name="document" element="t:Document"/></message>
<message name="Sent"><part name="accepted" element="t:Accepted"/></message>
<portType name="Messages"><operation name="Send"><input message="t:Send"/><output message="t:Sent"/></operation></portType>
`
	var b strings.Builder
	b.WriteString(head)
	for _, v := range [...]string{"11", "12"} {
		b.WriteString(`<binding name="SOAP` + v + `" type="t:Messages"><s` + v + `:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="Send"><s` + v + `:operation soapAction=""/><input><s` + v + `:body use="literal"/></input><output><s` + v + `:body use="literal"/></output></operation></binding>
`)
	}
	b.WriteString(`<service name="Messages">`)
	for _, v := range [...]string{"11", "12"} {
		b.WriteString(`<port name="SOAP` + v + `" binding="t:SOAP` + v + `"><s` + v + `:address location="` + escape(address) + `"/></port>`)
	}
	b.WriteString("</service>\n</definitions>\n")
	return []byte(b.String())
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
