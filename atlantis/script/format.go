package script

import (
	"fmt"
	"strconv"
	"strings"
)

// stringFormat is Lua's string.format: C's printf with widths and precisions of at most two digits.
func stringFormat(c call) int {
	format := c.str(1)
	c.run.chargeString(c.LState, 2*len(format))
	var b strings.Builder
	argument := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		spec, length := c.formatSpec(format[i:])
		i += length
		argument++
		text := c.formatOne(spec, format[min(i, len(format)):], argument)
		c.run.charge(c.LState, int64(2*len(text)))
		b.WriteString(text)
	}
	return c.pushString(b.String())
}

// formatSpec is what stands between "%" and the letter: flags, width, precision.
type formatSpec struct {
	text      string
	left      bool
	width     int
	precision int // -1 if absent
}

func (c call) formatSpec(s string) (formatSpec, int) {
	spec := formatSpec{precision: -1}
	i := 0
	for i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0 {
		spec.left = spec.left || s[i] == '-'
		i++
	}
	if i > 5 {
		c.fail("invalid format (repeated flags)")
	}
	digits := func() int {
		from := i
		for i < len(s) && i < from+2 && isDigit(s[i]) {
			i++
		}
		n, _ := strconv.Atoi(s[from:i])
		return n
	}
	spec.width = digits()
	if i < len(s) && s[i] == '.' {
		i++
		spec.precision = digits()
	}
	if i < len(s) && isDigit(s[i]) {
		c.fail("invalid format (width or precision too long)")
	}
	spec.text = s[:i]
	return spec, i
}

// formatOne formats argument n; rest begins with the letter.
func (c call) formatOne(spec formatSpec, rest string, n int) string {
	letter := byte(0)
	if rest != "" {
		letter = rest[0]
	}
	if n > c.GetTop() {
		c.badArgument(n, "no value")
	}
	switch letter {
	case 'c':
		return untilZero(spec.pad(string([]byte{byte(toInteger(c.number(n)))})))
	case 'd', 'i':
		return fmt.Sprintf("%"+spec.text+"d", toInteger(c.number(n)))
	case 'u':
		return fmt.Sprintf("%"+strings.NewReplacer("+", "", " ", "", "#", "").Replace(spec.text)+"d", uint64(toInteger(c.number(n))))
	case 'o', 'x', 'X':
		return fmt.Sprintf("%"+strings.NewReplacer("+", "", " ", "").Replace(spec.text)+string(letter), uint64(toInteger(c.number(n))))
	case 'e', 'E', 'f', 'g', 'G':
		return spec.float(c.number(n), letter)
	case 'q':
		return c.quote(c.str(n))
	case 's':
		return c.formatString(spec, c.str(n))
	}
	c.fail("invalid option '%%%s' to 'format'", rest[:min(len(rest), 1)])
	return ""
}

func (spec formatSpec) float(v float64, letter byte) string {
	if text, ok := notFinite(v); ok {
		if letter == 'E' || letter == 'G' {
			text = strings.ToUpper(text)
		}
		if strings.Contains(spec.text, "+") && text[0] != '-' {
			text = "+" + text
		}
		return spec.pad(text)
	}
	text := spec.text
	if spec.precision < 0 {
		text += ".6"
	}
	return fmt.Sprintf("%"+text+string(letter), v)
}

func (c call) formatString(spec formatSpec, s string) string {
	if spec.precision < 0 && len(s) >= 100 { // Lua's way around the limits of its buffer
		return s
	}
	s = untilZero(s)
	if spec.precision >= 0 && len(s) > spec.precision {
		s = s[:spec.precision]
	}
	return spec.pad(s)
}

func (spec formatSpec) pad(s string) string {
	fill := strings.Repeat(" ", max(spec.width-len(s), 0))
	if spec.left {
		return s + fill
	}
	return fill + s
}

// quote writes s as a Lua string literal.
func (c call) quote(s string) string {
	c.run.chargeString(c.LState, 2*len(s))
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}
