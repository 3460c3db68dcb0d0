package script_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// jsonValue draws a JSON document as text. Arrays are not empty: cjson writes those as objects.
func jsonValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 4
		if depth > 0 {
			kinds = 6
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false", "{}"}).Draw(t, "word")
		case 1:
			return fmt.Sprint(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "integer"))
		case 2:
			return fmt.Sprint(rapid.Float64Range(-1e20, 1e20).Draw(t, "number"))
		case 3:
			text, _ := json.Marshal(rapid.String().Draw(t, "string"))
			return string(text)
		case 4:
			items := rapid.SliceOfN(jsonValue(depth-1), 1, 5).Draw(t, "items")
			return "[" + join(items) + "]"
		default:
			members := rapid.MapOfN(rapid.StringMatching(`[a-zA-Z_/<&é"]{0,8}`), jsonValue(depth-1), 1, 5).Draw(t, "members")
			var list []string
			for k, v := range members {
				key, _ := json.Marshal(k)
				list = append(list, string(key)+":"+v)
			}
			return "{" + join(list) + "}"
		}
	})
}

func join(list []string) string {
	out := ""
	for i, s := range list {
		if i > 0 {
			out += ","
		}
		out += s
	}
	return out
}

// TestJSONPassesThroughAsInRedis ensures that decoding and encoding any document gives what Redis gives, but for the
// order of object members, which Lua leaves open.
func TestJSONPassesThroughAsInRedis(t *testing.T) {
	const source = `return cjson.encode(cjson.decode(ARGV[1]))`
	redis := startRedis(t)
	p := compile(t, script.Limits{}, source)
	rapid.Check(t, func(t *rapid.T) {
		document := jsonValue(4).Draw(t, "document")
		theirs := redis.eval(source, nil, []string{document})
		ours, err := p.Run(context.Background(), nil, []string{document}, memory{})
		require.NoError(t, err)
		require.Equal(t, script.Bulk, theirs.Kind, theirs.Text)
		require.Equal(t, script.Bulk, ours.Kind, ours.Text)
		require.Equal(t, len(theirs.Text), len(ours.Text))
		require.JSONEq(t, theirs.Text, ours.Text)
	})
}

// TestBrokenJSONFailsAsInRedis ensures that what cjson.decode says of any text is what Redis says.
func TestBrokenJSONFailsAsInRedis(t *testing.T) {
	const source = `local ok, v = pcall(cjson.decode, ARGV[1]) if ok then return type(v) end return v`
	redis := startRedis(t)
	p := compile(t, script.Limits{}, source)
	rapid.Check(t, func(t *rapid.T) {
		document := []byte(jsonValue(3).Draw(t, "document"))
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			i := rapid.IntRange(0, len(document)-1).Draw(t, "at")
			document[i] = rapid.SampledFrom([]byte("{}[]\",:\\u0aeE+-.ntf \x00\x80")).Draw(t, "byte")
		}
		theirs := redis.eval(source, nil, []string{string(document)})
		ours, err := p.Run(context.Background(), nil, []string{string(document)}, memory{})
		require.NoError(t, err)
		require.Equal(t, theirs, ours, "%q", document)
	})
}

// TestNumbersAndPatternsAreRedis ensures the conversions between numbers and strings, and pattern matching, on random input.
func TestNumbersAndPatternsAreRedis(t *testing.T) {
	const numbers = `local n = tonumber(ARGV[1]) return {tostring(n), tostring(n and n + 3), tostring(n and string.format('%.3f|%5.1e|%g|%d', n, n, n, n % 1000))}`
	const patterns = `local ok, a, b, c = pcall(string.find, ARGV[1], ARGV[2]) local _, g, n = pcall(string.gsub, ARGV[1], ARGV[2], '<%0>') return {tostring(ok), tostring(a), tostring(b), tostring(c), tostring(g), tostring(n)}`
	redis := startRedis(t)
	number, pattern := compile(t, script.Limits{}, numbers), compile(t, script.Limits{}, patterns)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[ ]?[-+]?[0-9]{0,20}(\.[0-9]{0,8})?([eE][-+]?[0-9]{1,2})?[ ]?`), rapid.StringMatching(`-?0[xX][0-9a-fA-F]{0,12}`)).Draw(t, "number")
		ours, err := number.Run(context.Background(), nil, []string{text}, memory{})
		require.NoError(t, err)
		require.Equal(t, redis.eval(numbers, nil, []string{text}), ours, "%q", text)

		args := []string{rapid.StringMatching(`[ab1 ()\[-]{0,8}`).Draw(t, "subject"), rapid.StringMatching(`(\^|[ab1.$()\[\]*+?-]|%[aAdswb%1()-]|%f|\[\^?[ab1%-]{0,3}\]|[ab.][*+?-]){0,5}`).Draw(t, "pattern")}
		ours, err = pattern.Run(context.Background(), nil, args, memory{})
		require.NoError(t, err)
		require.Equal(t, redis.eval(patterns, nil, args), ours, "%q", args)
	})
}
