package script

import (
	"math"
	"strconv"
	"strings"
)

// parseNumber reads a whole string as Lua 5.1's tonumber does: C's strtod with white space around it.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(untilZero(s), " \t\n\v\f\r")
	v, n := scanNumber(s)
	return v, n > 0 && n == len(s)
}

// scanNumber reads the longest number at the start of s as C's strtod does, without white space, and returns how many
// bytes it has; 0 means that there is none.
func scanNumber(s string) (float64, int) {
	i, negative := 0, false
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		negative = s[i] == '-'
		i++
	}
	rest := s[i:]
	for _, name := range []string{"infinity", "inf", "nan"} {
		if len(rest) >= len(name) && strings.EqualFold(rest[:len(name)], name) {
			v := math.Inf(1)
			if name == "nan" {
				v = math.Float64frombits(0x7FF8000000000000)
			}
			return withSign(v, negative), i + len(name)
		}
	}
	hex := len(rest) > 2 && rest[0] == '0' && (rest[1] == 'x' || rest[1] == 'X')
	n, text := scanDigits(rest, hex)
	if n == 0 && hex { // "0x" alone is the number 0, followed by an x
		hex = false
		n, text = scanDigits(rest[:1], false)
	}
	if n == 0 {
		return 0, 0
	}
	v, _ := strconv.ParseFloat(text, 64) // out of range is ±Inf, as in C
	return withSign(v, negative), i + n
}

func withSign(v float64, negative bool) float64 {
	if negative {
		return math.Copysign(v, -1)
	}
	return v
}

// scanDigits finds digits, a fraction and an exponent, and returns their length and the text that Go reads as the same number.
func scanDigits(s string, hex bool) (int, string) {
	i, exponent := 0, "eE"
	if hex {
		i, exponent = 2, "pP"
	}
	digits := 0
	run := func() {
		for i < len(s) && (isDigit(s[i]) || hex && isHex(s[i])) {
			i++
			digits++
		}
	}
	run()
	if i < len(s) && s[i] == '.' {
		i++
		run()
	}
	if digits == 0 {
		return 0, ""
	}
	end := i
	if i < len(s) && strings.IndexByte(exponent, s[i]) >= 0 {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		from := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i > from {
			return i, s[:i]
		}
	}
	if hex {
		return end, s[:end] + "p0"
	}
	return end, s[:end]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// formatNumber writes v as C's "%.<precision>g" does: 14 is Lua's tostring, 17 what redis.call sends.
func formatNumber(v float64, precision int) string {
	if text, ok := notFinite(v); ok {
		return text
	}
	return strconv.FormatFloat(v, 'g', precision, 64)
}

func notFinite(v float64) (string, bool) {
	switch {
	case math.IsNaN(v) && math.Signbit(v):
		return "-nan", true
	case math.IsNaN(v):
		return "nan", true
	case math.IsInf(v, 1):
		return "inf", true
	case math.IsInf(v, -1):
		return "-inf", true
	}
	return "", false
}

// toInteger truncates as a C cast to 64 bits does on amd64: what does not fit is the smallest integer.
func toInteger(v float64) int64 {
	if v >= -(1<<63) && v < 1<<63 {
		return int64(v)
	}
	return math.MinInt64
}
