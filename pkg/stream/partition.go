package stream

// Partition is the partition of a key among n: murmur2 as Java's default
// partitioner computes it, so that producers of any language agree.
func Partition(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n //nolint:gosec // 31 bits
}

// murmur2 is MurmurHash2 with the seed of org.apache.kafka.common.utils.Utils.
func murmur2(b []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
	)
	h := seed ^ uint32(len(b)) //nolint:gosec // keys are short
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
