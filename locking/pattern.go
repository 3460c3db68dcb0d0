package locking

import "strings"

// Pattern selects records by their wire key, with the glob of Redis: * ?
// [a-z] [^a-z] and \ to quote. All selects every record.
type Pattern string

// All selects every record.
const All Pattern = "*"

// GlobChars are the characters that a glob may read as something else than
// themselves.
const GlobChars = `*?[]\^`

// Literal is the pattern that matches exactly the text.
func Literal(text string) Pattern {
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte(GlobChars, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return Pattern(b.String())
}

// Prefix is what every key that matches begins with: the pattern's text up to
// its first special character. A store uses it to read less.
func (p Pattern) Prefix() string {
	if i := strings.IndexAny(string(p), `*?[\`); i >= 0 {
		return string(p[:i])
	}
	return string(p)
}

// Match reports whether the whole key matches. It agrees with Redis 7.0 on
// every key but the empty one, malformed classes included; where a class has a
// range over bytes of 0x80 and more, Redis itself depends on its C compiler. It
// takes at most len(pattern) × len(key) steps for each star.
func (p Pattern) Match(key string) bool {
	matched, _ := match(string(p), key, 0)
	return matched
}

// maxStars bounds the recursion, as in Redis (util.c, stringmatchlen).
const maxStars = 1000

// match also tells that no later start of an earlier star can help: if the
// rest of the pattern after a star matches nowhere in the rest of the key, it
// matches nowhere further on either.
func match(pattern, key string, stars int) (matched, hopeless bool) {
	if stars > maxStars {
		return false, false
	}
	for pattern != "" && key != "" {
		switch pattern[0] {
		case '*':
			for len(pattern) > 1 && pattern[1] == '*' {
				pattern = pattern[1:]
			}
			if len(pattern) == 1 {
				return true, false
			}
			for ; key != ""; key = key[1:] {
				if m, h := match(pattern[1:], key, stars+1); m || h {
					return m, h
				}
			}
			return false, true
		case '?':
		case '[':
			var in bool
			if in, pattern = matchClass(pattern, key[0]); !in {
				return false, false
			}
		case '\\':
			if len(pattern) >= 2 {
				pattern = pattern[1:]
			}
			fallthrough
		default:
			if pattern[0] != key[0] {
				return false, false
			}
		}
		pattern, key = pattern[1:], key[1:]
		if key == "" {
			pattern = strings.TrimLeft(pattern, "*")
		}
	}
	return pattern == "" && key == "", false
}

// matchClass matches one byte against the class that pattern begins with and
// returns the pattern from the class's last byte on. A class without an end
// reaches to the end of the pattern.
func matchClass(pattern string, c byte) (in bool, rest string) {
	pattern = pattern[1:]
	negated := strings.HasPrefix(pattern, "^")
	if negated {
		pattern = pattern[1:]
	}
	for {
		switch {
		case len(pattern) >= 2 && pattern[0] == '\\':
			pattern = pattern[1:]
			in = in || pattern[0] == c
		case pattern == "":
			return in != negated, "]"
		case pattern[0] == ']':
			return in != negated, pattern
		case len(pattern) >= 3 && pattern[1] == '-':
			low, high := min(pattern[0], pattern[2]), max(pattern[0], pattern[2])
			in = in || low <= c && c <= high
			pattern = pattern[2:]
		default:
			in = in || pattern[0] == c
		}
		pattern = pattern[1:]
	}
}
