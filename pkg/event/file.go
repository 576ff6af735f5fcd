package event

import "strconv"

// FileLine is the header of a raw message that is a part of a file: the number of its
// first row's line in the file, from 1. A header row that is repeated does not count.
const FileLine = "X-File-Line"

// FirstLine is what FileLine says; 0 where it says nothing.
func (m *RawMessage) FirstLine() int {
	if m.FileID == "" {
		return 0 // a sender's own header is not believed
	}
	for _, h := range m.Headers {
		if h.Name == FileLine {
			if n, err := strconv.Atoi(h.Value); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}
