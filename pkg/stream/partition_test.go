package stream

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors were computed by org.apache.kafka.common.utils.Utils of kafka-clients
// 4.4.0 (toPositive(murmur2(key)) % n); the first hashes are also in its UtilsTest.
func TestPartitionIsJavas(t *testing.T) {
	vectors := []struct {
		key         string
		hash        int32
		of6, ofMany int32 // of 6 and of 48 partitions
	}{
		{"", 275646681, 3, 9},
		{"a", -1563381124, 4, 28},
		{"ab", 316155434, 2, 26},
		{"abc", 479470107, 3, 27},
		{"abcd", -1323649548, 2, 20},
		{"21", -973932308, 0, 12},
		{"foobar", -790332482, 0, 30},
		{"a-little-bit-long-string", -985981536, 2, 32},
		{"a-little-bit-longer-string", -1486304829, 5, 35},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971, 5, 29},
		{"acme|item-1", -1730634089, 3, 39},
		{"acme|item-000042", 52273972, 4, 4},
		{"acme|4006381333931", 1566972222, 0, 30},
		{"us|SKU-RED-XL", -1153731507, 5, 29},
		{"|control", 631626239, 5, 47},
		{"|header", -1772891648, 0, 0},
		{"eu|äpfel", -634865213, 3, 3},
		{"jp|日本語", 2066391408, 0, 0},
		{"acme|item-1|berlin-1", 1997332620, 0, 12},
		{"x|" + repeat("0123456789", 20), -326557702, 4, 10},
	}
	client := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for _, v := range vectors {
		if got := int32(murmur2([]byte(v.key))); got != v.hash {
			t.Errorf("%q: hash %d, want %d", v.key, got, v.hash)
		}
		if got := Partition([]byte(v.key), 6); got != v.of6 {
			t.Errorf("%q: partition %d of 6, want %d", v.key, got, v.of6)
		}
		if got := Partition([]byte(v.key), 48); got != v.ofMany {
			t.Errorf("%q: partition %d of 48, want %d", v.key, got, v.ofMany)
		}
		rec := &kgo.Record{Key: []byte(v.key)}
		if got := int32(client.Partition(rec, 48)); len(v.key) > 0 && got != v.ofMany {
			t.Errorf("%q: the client's own partitioner says %d, want %d", v.key, got, v.ofMany)
		}
	}
}

func repeat(s string, n int) string {
	out := ""
	for range n {
		out += s
	}
	return out
}
