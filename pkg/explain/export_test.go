package explain

// Keep bounds the outcomes that are kept, and the bytes of their records.
func (c *Config) Keep(outcomes int, bytes int64) { c.kept = keeps{outcomes, bytes} }
