package limit

// Room makes room for at least so many names.
func (l *Limiter) Room(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, most)
}
