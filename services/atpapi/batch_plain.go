package atpapi

// plain reads a batch that is written as most are: texts without escapes, each field
// once, no selection. What it takes is what decodeStrict would; what it does not take,
// right or wrong, is for decodeStrict to say. The texts are pieces of body.
func (q *batchRequest) plain(body string) bool {
	s := plainJSON{text: body}
	into := map[string]*string{
		"entity": &q.Entity, "location": &q.Location, "group": &q.Group, "channel": &q.Channel, "on": &q.On, "quantity": &q.Quantity,
	}
	ok := s.object(func(name string) bool {
		if name == "items" && len(q.Items) == 0 {
			return s.list(func() bool { return len(q.Items) < maxBatch && q.plainItem(&s) })
		}
		return s.once(into[name])
	})
	s.space()
	return ok && s.at == len(s.text)
}

func (q *batchRequest) plainItem(s *plainJSON) bool {
	q.Items = append(q.Items, batchItem{})
	it := &q.Items[len(q.Items)-1]
	return s.object(func(name string) bool {
		switch name {
		case "item":
			return s.once(&it.Item)
		case "entity":
			return s.once(&it.Entity)
		}
		return false
	})
}

// plainJSON reads JSON (RFC 8259) that has nothing unusual in it.
type plainJSON struct {
	text string
	at   int // bytes read
}

func (s *plainJSON) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\n' || s.text[s.at] == '\r' || s.text[s.at] == '\t') {
		s.at++
	}
}

// is takes a character, if it is what comes next.
func (s *plainJSON) is(c byte) bool {
	s.space()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// word takes a text that has a character or more, all of them printable ASCII.
func (s *plainJSON) word() (string, bool) {
	if !s.is('"') {
		return "", false
	}
	from := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1], s.at-1 > from
		case c < ' ' || c > '~' || c == '\\':
			return "", false
		}
	}
	return "", false
}

// once takes a text that did not stand before.
func (s *plainJSON) once(into *string) (ok bool) {
	if into == nil || *into != "" {
		return false
	}
	*into, ok = s.word()
	return ok
}

// object takes fields, one or more, whose values f takes.
func (s *plainJSON) object(f func(name string) bool) bool {
	if !s.is('{') {
		return false
	}
	for {
		name, ok := s.word()
		if !ok || !s.is(':') || !f(name) {
			return false
		}
		if !s.is(',') {
			return s.is('}')
		}
	}
}

// list takes values, one or more, by f.
func (s *plainJSON) list(f func() bool) bool {
	if !s.is('[') {
		return false
	}
	for {
		if !f() {
			return false
		}
		if !s.is(',') {
			return s.is(']')
		}
	}
}
