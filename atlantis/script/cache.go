package script

import (
	"container/list"
	"strings"
	"sync"
)

// Cache keeps compiled programs by SHA for EVAL, EVALSHA and the SCRIPT commands; the least recently used leave first.
// It is safe for concurrent use.
type Cache struct {
	limits   Limits
	programs int
	bytes    int64

	mu    sync.Mutex
	order *list.List // of *Program, the most recently used first
	bySHA map[string]*list.Element
	size  int64
}

// NewCache returns a cache of at most so many programs whose sources have at most so many bytes together. A program
// above that is compiled each time.
func NewCache(limits Limits, programs int, bytes int64) *Cache {
	return &Cache{limits: limits, programs: programs, bytes: bytes, order: list.New(), bySHA: map[string]*list.Element{}}
}

// Load returns the program of source, compiled now unless it is kept. Its errors are those of Compile.
func (c *Cache) Load(source string) (*Program, error) {
	sha := shaOf(source)
	if p, ok := c.Get(sha); ok {
		return p, nil
	}
	p, err := c.limits.Compile(source)
	if err != nil {
		return nil, err
	}
	c.keep(p)
	return p, nil
}

// Get returns the program with that SHA, in either case, if it is kept.
func (c *Cache) Get(sha string) (*Program, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.bySHA[strings.ToLower(sha)]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*Program), true
}

// Exists reports whether a program is kept. It does not count as a use.
func (c *Cache) Exists(sha string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.bySHA[strings.ToLower(sha)]
	return ok
}

// Flush drops all programs; those that run end undisturbed.
func (c *Cache) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order.Init()
	clear(c.bySHA)
	c.size = 0
}

func (c *Cache) keep(p *Program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, raced := c.bySHA[p.sha]; raced || p.size > c.bytes {
		return
	}
	c.bySHA[p.sha] = c.order.PushFront(p)
	c.size += p.size
	for c.order.Len() > c.programs || c.size > c.bytes {
		oldest := c.order.Remove(c.order.Back()).(*Program)
		delete(c.bySHA, oldest.sha)
		c.size -= oldest.size
	}
}
