package faultproxy

// Torn is how many of the open connections have lost bytes.
func (p *Proxy) Torn() (torn int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.torn {
			torn++
		}
	}
	return torn
}
