package script_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// TestCacheReturnsTheSameProgram ensures that a source is compiled once and found by its SHA in either case.
func TestCacheReturnsTheSameProgram(t *testing.T) {
	c := script.NewCache(script.Limits{}, 10, 1000)
	p, err := c.Load(`return 1`)
	require.NoError(t, err)
	again, err := c.Load(`return 1`)
	require.NoError(t, err)
	require.Same(t, p, again)
	found, ok := c.Get(strings.ToUpper(p.SHA()))
	require.True(t, ok)
	require.Same(t, p, found)
	require.True(t, c.Exists(p.SHA()))
	_, ok = c.Get("no such sha")
	require.False(t, ok)
}

// TestCacheForgetsTheLeastRecentlyUsed ensures both bounds, and that Exists does not count as use.
func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	for name, c := range map[string]*script.Cache{
		"count": script.NewCache(script.Limits{}, 3, 1000),
		"bytes": script.NewCache(script.Limits{}, 100, int64(3*len(`return 0`))),
	} {
		t.Run(name, func(t *testing.T) {
			var sha []string
			for i := range 3 {
				p, err := c.Load(fmt.Sprintf(`return %d`, i))
				require.NoError(t, err)
				sha = append(sha, p.SHA())
			}
			_, _ = c.Get(sha[0])
			require.True(t, c.Exists(sha[1]))
			_, err := c.Load(`return 3`)
			require.NoError(t, err)
			require.True(t, c.Exists(sha[0]))
			require.False(t, c.Exists(sha[1]))
			require.True(t, c.Exists(sha[2]))
		})
	}
}

// TestCacheKeepsNoProgramAboveItsBytes ensures that one large script does not push out all others.
func TestCacheKeepsNoProgramAboveItsBytes(t *testing.T) {
	c := script.NewCache(script.Limits{}, 10, 20)
	small, err := c.Load(`return 1`)
	require.NoError(t, err)
	large, err := c.Load(`return 1 -- ` + strings.Repeat("x", 100))
	require.NoError(t, err)
	require.False(t, c.Exists(large.SHA()))
	require.True(t, c.Exists(small.SHA()))
}

// TestCacheFlushForgetsAll ensures SCRIPT FLUSH, and that the cache is whole afterwards.
func TestCacheFlushForgetsAll(t *testing.T) {
	c := script.NewCache(script.Limits{}, 2, 1000)
	p, err := c.Load(`return 1`)
	require.NoError(t, err)
	c.Flush()
	require.False(t, c.Exists(p.SHA()))
	for i := range 5 {
		_, err := c.Load(fmt.Sprintf(`return %d`, i))
		require.NoError(t, err)
	}
}

// TestCacheKeepsNoBrokenScript ensures that a source that does not compile is an error each time.
func TestCacheKeepsNoBrokenScript(t *testing.T) {
	c := script.NewCache(script.Limits{Source: 100}, 2, 1000)
	for _, source := range []string{`return (`, strings.Repeat(" ", 101)} {
		_, err := c.Load(source)
		var refused *script.CompileError
		require.ErrorAs(t, err, &refused)
		require.True(t, strings.HasPrefix(err.Error(), "ERR Error compiling script (new function): "))
	}
}

// TestCacheIsSafeForConcurrentUse ensures, under the race detector, that connections share one cache.
func TestCacheIsSafeForConcurrentUse(t *testing.T) {
	c := script.NewCache(script.Limits{}, 4, 1000)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 100 {
				p, err := c.Load(fmt.Sprintf(`return %d`, (worker+i)%8))
				if err != nil {
					t.Error(err)
					return
				}
				c.Exists(p.SHA())
				c.Get(p.SHA())
				if i%50 == 0 {
					c.Flush()
				}
			}
		})
	}
	all.Wait()
}
