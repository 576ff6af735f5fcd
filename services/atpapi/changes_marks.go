package atpapi

import "context"

// visible is how far the projection of a topic has come in each of the partitions that
// reads are answered from now: see feed.Marks.
func (s *store) visible(ctx context.Context, topic string, partitions []int32) (map[int32]int64, error) {
	marks, err := s.marks(ctx, partitions)
	if err != nil {
		return nil, err
	}
	out := make(map[int32]int64, len(marks))
	for p, m := range marks {
		if m.topic == topic && m.caughtUp() {
			out[p] = m.next
		}
	}
	return out, nil
}
