package epcis

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// needsAction has the types of event, and whether one states an action (EPCIS 2.0
// §7.4).
var needsAction = map[string]bool{
	"ObjectEvent": true, "AggregationEvent": true, "TransactionEvent": true, "AssociationEvent": true,
	"TransformationEvent": false, "QuantityEvent": false,
}

// eventType is the type of an event in the members of JSON-LD, without what names
// its vocabulary; empty when it is none of EPCIS.
func eventType(m map[string]any) string {
	t, _ := m["type"].(string)
	if t == "" {
		t, _ = m["@type"].(string)
	}
	if i := strings.LastIndexAny(t, ":/#"); i >= 0 {
		t = t[i+1:]
	}
	if _, ok := needsAction[t]; !ok {
		return ""
	}
	return t
}

// The members of an event, by what is in them.
var (
	textMembers = []string{"eventID", "eventTime", "eventTimeZoneOffset", "recordTime", "action", "transformationID", "parentID"}
	wordMembers = map[string]string{"bizStep": "BizStep", "disposition": "Disp"}
	placeMember = []string{"readPoint", "bizLocation"}
	epcLists    = []string{"epcList", "childEPCs", "inputEPCList", "outputEPCList"}
	quantities  = []string{"quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"}
	typedLists  = map[string]struct{ member, words string }{
		"bizTransactionList": {"bizTransaction", "BTT"}, "sourceList": {"source", "SDT"}, "destinationList": {"destination", "SDT"},
	}
	looseMembers = []string{"sensorElementList", "ilmd", "certificationInfo"}
	noMembers    = []string{"@context", "type", "@type", "epcClass", "quantity", "uom"}
)

// reading is one event on its way; the first fault is told.
type reading struct {
	where   string
	context scope
	fault   *format.Fault
}

func (r *reading) fail(reason string, args ...any) {
	if r.fault == nil {
		r.fault = format.Faultf("epcis_event", r.where+": "+reason, args...)
	}
}

func (e *event) read(where string, document map[string]any) (any, *format.Fault) {
	m, ok := e.members.(map[string]any)
	if !ok {
		return nil, format.Faultf("epcis_event", "%s: it is no object", where)
	}
	r := reading{where: where, context: e.context}
	if c, ok := m["@context"]; ok {
		r.context = scope{prefixes(c)}
		if len(e.context) > 0 {
			r.context = scope{e.context[0], prefixes(c)}
		}
	}
	typ := eventType(m)
	if typ == "" {
		r.fail("%.60v is no type of event", m["type"])
	}
	out := map[string]any{"type": orNull(typ), "document": document}
	for _, k := range textMembers {
		out[k] = r.text(k, m[k])
	}
	for k, words := range wordMembers {
		out[k] = r.word(k, words, m[k])
	}
	for _, k := range placeMember {
		out[k] = r.place(k, m[k])
	}
	for _, k := range epcLists {
		out[k] = r.texts(k, m[k])
	}
	for _, k := range quantities {
		out[k] = r.quantities(k, m[k])
	}
	for k, t := range typedLists {
		out[k] = r.typed(k, t.member, t.words, m[k])
	}
	for _, k := range looseMembers {
		out[k] = r.loose(m[k])
	}
	if typ == "QuantityEvent" {
		out["quantityList"] = r.quantities("quantity", map[string]any{"epcClass": m["epcClass"], "quantity": m["quantity"], "uom": m["uom"]})
	}
	out["persistentDisposition"] = r.persistent(m["persistentDisposition"])
	out["errorDeclaration"] = r.errorDeclaration(m["errorDeclaration"])
	out["extensions"] = r.extensions(m, func(k string) bool {
		_, known := out[k]
		return known && k != "document" || slices.Contains(noMembers, k)
	})
	if typ != "" {
		r.check(typ, out)
	}
	return out, r.fault
}

// check asks for what no event is without.
func (r *reading) check(typ string, out map[string]any) {
	if out["eventTime"] == nil {
		r.fail("no eventTime")
	}
	switch a := out["action"]; {
	case a == nil && needsAction[typ]:
		r.fail("no action")
	case a != nil && a != "ADD" && a != "OBSERVE" && a != "DELETE":
		r.fail("action %.40q", a)
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// text is a text or a number as its text; JSON-LD may write an id as {"id": text}.
func (r *reading) text(member string, v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return orNull(strings.TrimSpace(v))
	case json.Number:
		return v.String()
	case map[string]any:
		if id, ok := v["id"].(string); ok {
			return orNull(strings.TrimSpace(id))
		}
		if id, ok := v["@id"].(string); ok {
			return orNull(strings.TrimSpace(id))
		}
	}
	r.fail("%s is no text", member)
	return nil
}

// word is a word of the Core Business Vocabulary by its short name, or what stands
// there (CBV 2.0 §7: urn:epcglobal:cbv:bizstep:shipping, https://ref.gs1.org/cbv/
// BizStep-shipping, shipping).
func (r *reading) word(member, words string, v any) any {
	s, ok := r.text(member, v).(string)
	if !ok {
		return nil
	}
	urn := "urn:epcglobal:cbv:" + strings.ToLower(words) + ":"
	if len(s) > len(urn) && strings.EqualFold(s[:len(urn)], urn) {
		return s[len(urn):]
	}
	for _, base := range [...]string{"https://ref.gs1.org/cbv/", "http://ref.gs1.org/cbv/", "https://ns.gs1.org/cbv/", "cbv:"} {
		if rest, ok := strings.CutPrefix(s, base); ok {
			if word, ok := strings.CutPrefix(rest, words+"-"); ok && word != "" {
				return word
			}
		}
	}
	return s
}

func (r *reading) place(member string, v any) any {
	if m, ok := v.(map[string]any); ok && m["id"] == nil && m["@id"] == nil {
		r.fail("%s has no id", member)
		return nil
	}
	return r.text(member, v)
}

// list is an array, or one value that JSON-LD writes without it.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func (r *reading) texts(member string, v any) []any {
	all := list(v)
	out := make([]any, 0, len(all))
	for _, x := range all {
		if s, ok := x.(string); ok && s != "" && s == strings.TrimSpace(s) {
			out = append(out, x)
			continue
		}
		if s := r.text(member, x); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (r *reading) quantities(member string, v any) []any {
	out := []any{}
	for _, x := range list(v) {
		m, ok := x.(map[string]any)
		q := map[string]any{"epcClass": r.text("epcClass", m["epcClass"]), "quantity": r.text("quantity", m["quantity"]), "uom": r.text("uom", m["uom"])}
		if !ok || q["epcClass"] == nil {
			r.fail("an element of %s without epcClass", member)
		}
		out = append(out, q)
	}
	return out
}

func (r *reading) typed(listName, member, words string, v any) []any {
	out := []any{}
	for _, x := range list(v) {
		m, ok := x.(map[string]any)
		if !ok { // a bare id
			m = map[string]any{member: x}
		}
		value := r.text(member, m[member])
		if value == nil {
			r.fail("an element of %s without %s", listName, member)
		}
		out = append(out, map[string]any{"type": r.word("type", words, m["type"]), member: value})
	}
	return out
}

func (r *reading) persistent(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	out := map[string]any{"set": []any{}, "unset": []any{}}
	for k := range out {
		words := []any{}
		for _, x := range list(m[k]) {
			words = append(words, r.word(k, "Disp", x))
		}
		out[k] = words
	}
	return out
}

func (r *reading) errorDeclaration(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		if v != nil {
			r.fail("errorDeclaration is no object")
		}
		return nil
	}
	return map[string]any{
		"declarationTime": r.text("declarationTime", m["declarationTime"]), "reason": r.word("reason", "ER", m["reason"]),
		"correctiveEventIDs": r.texts("correctiveEventIDs", m["correctiveEventIDs"]),
		"extensions": r.extensions(m, func(k string) bool {
			return slices.Contains([]string{"declarationTime", "reason", "correctiveEventIDs", "@context", "type"}, k)
		}),
	}
}

// extensions are the members that EPCIS does not have, under their full names.
func (r *reading) extensions(m map[string]any, known func(string) bool) map[string]any {
	out := map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !known(k) {
			out[r.full(k)] = r.loose(m[k])
		}
	}
	return out
}

// full is prefix:name with the namespace its context binds.
func (r *reading) full(key string) string {
	prefix, name, ok := strings.Cut(key, ":")
	ns, known := r.context.of(prefix)
	if !ok || !known || strings.HasPrefix(name, "//") {
		return key
	}
	return join(ns, name)
}

// join is the one spelling of a name in a namespace for both bindings: JSON-LD
// writes the slash that XML leaves out.
func join(ns, name string) string {
	if ns == "" || strings.HasSuffix(ns, "/") || strings.HasSuffix(ns, "#") || strings.HasSuffix(ns, ":") {
		return ns + name
	}
	return ns + "/" + name
}

// loose is a value nobody here knows: its names in full, its numbers as texts.
func (r *reading) loose(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = r.loose(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k != "@context" {
				out[r.full(k)] = r.loose(v[k])
			}
		}
		return out
	case nil, bool, string:
		return v
	}
	return fmt.Sprint(v)
}
