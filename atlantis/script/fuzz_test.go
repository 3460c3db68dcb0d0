package script_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// FuzzRun ensures that no source panics, is killed, or runs above its time and memory.
func FuzzRun(f *testing.F) {
	for _, source := range sameReply {
		f.Add(source)
	}
	for _, source := range sameCode {
		f.Add(source)
	}
	for _, source := range hostile {
		f.Add(source)
	}
	f.Add(unlockScript)
	limits := script.Limits{Time: 20 * time.Millisecond, Memory: 1 << 20, Source: 4 << 10}
	f.Fuzz(func(t *testing.T, source string) {
		var p *script.Program
		var err error
		require.Less(t, cost(t, func() { p, err = limits.Compile(source) }), time.Second)
		if err != nil {
			var refused *script.CompileError
			require.ErrorAs(t, err, &refused)
			return
		}
		took := cost(t, func() { _, err = p.Run(context.Background(), []string{"k"}, []string{"12"}, memory{"k": lockOf12}) })
		require.Less(t, took, 2*time.Second)
		if err != nil {
			require.True(t, errors.Is(err, script.ErrTime) || errors.Is(err, script.ErrMemory), "%v", err)
		}
	})
}

// FuzzSameAsRedis ensures that a script which we and a real Redis both accept has the same reply and the same writes.
func FuzzSameAsRedis(f *testing.F) {
	for _, source := range sameReply {
		f.Add(source)
	}
	f.Add(unlockScript)
	redis := startRedis(f)
	limits := script.Limits{Time: 50 * time.Millisecond, Memory: 1 << 20, Source: 2 << 10}
	keys, args, data := []string{"first", "second"}, []string{"argument"}, memory{"first": lockOf12}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := limits.Compile(source)
		if err != nil || mayDiffer(source) {
			return
		}
		ourData := maps.Clone(data)
		ours, err := p.Run(context.Background(), keys, args, ourData)
		if err != nil || hasError(ours) {
			return // bounds and refusals are ours
		}
		redis.t = t
		redis.load(data)
		theirs := redis.eval(source, keys, args)
		if hasError(theirs) || strings.Contains(fmt.Sprint(ours, theirs), "0x") {
			return // an address
		}
		require.Equal(t, theirs, ours, "%s", source)
		require.Equal(t, redis.data(), ourData, "%s", source)
	})
}

// power matches what the C library and Go round differently. A ^ at the beginning of a pattern follows a quote.
var power = regexp.MustCompile(`[\w).\]]\s*\^|(pow|exp|log|sin|cos|tan)`)

// mayDiffer tells a script whose reply Lua leaves open: the order of a table, the time, random numbers, which a server
// goes on with from script to script, numbers that do not fit an unsigned one, and the last digits of powers.
func mayDiffer(source string) bool {
	if power.MatchString(source) {
		return true
	}
	for _, word := range []string{"pairs", "next", "encode", "sort", "#", "getn", "maxn", "unpack", "gc", "os", "pcall", "random", "%x", "%X", "%o", "%u"} {
		if strings.Contains(source, word) {
			return true
		}
	}
	return false
}

// hasError tells a reply with an error in it.
func hasError(r script.Reply) bool {
	return r.Kind == script.Error || slices.ContainsFunc(r.Array, hasError)
}
