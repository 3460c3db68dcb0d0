package main

import (
	"slices"
	"strings"
)

// lineWidth is how many columns a terminal has that nobody has made larger.
const lineWidth = 80

// fitted is a table that fits a line: the first row is its head, and what is too long is shortened in the
// middle, for the begin and the end of a record's key tell most.
func fitted(rows [][]string) string {
	width := fitting(widths(rows))
	var cut [][]string
	for _, row := range rows {
		line := make([]string, len(row))
		for i, cell := range row {
			line[i] = shortened(cell, width[i])
		}
		cut = append(cut, line)
	}
	return aligned(cut, width)
}

// interleaved puts a text, indented, below each line of a table.
func interleaved(table string, below []string) string {
	var b strings.Builder
	i := 0
	for line := range strings.Lines(table) {
		b.WriteString(line + indented(below[i], 4))
		i++
	}
	return b.String()
}

// wrapped is a table that fits a line: what is too long goes on below.
func wrapped(rows [][]string) string {
	width := fitting(widths(rows))
	var lines [][]string
	for _, row := range rows {
		for depth := 0; ; depth++ {
			line, more := make([]string, len(row)), false
			for i, cell := range row {
				if parts := wrap(cell, width[i]); depth < len(parts) {
					line[i], more = parts[depth], true
				}
			}
			if !more {
				break
			}
			lines = append(lines, line)
		}
	}
	return aligned(lines, width)
}

// aligned puts two blanks between columns; the first row is the head.
func aligned(rows [][]string, width []int) string {
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", width[i]-len([]rune(cell))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func widths(rows [][]string) []int {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	return width
}

// fitting takes from the widest column until all fit a line.
func fitting(width []int) []int {
	left := lineWidth - 2*(len(width)-1)
	for _, w := range width {
		left -= w
	}
	for ; left < 0; left++ {
		width[slices.Index(width, slices.Max(width))]--
	}
	return width
}

func shortened(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	tail := (width - 1) / 2
	return string(runes[:width-1-tail]) + "…" + string(runes[len(runes)-tail:])
}

// wrap breaks a text into lines, between words where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := []rune{}
	for _, word := range strings.Fields(text) {
		runes := []rune(word)
		if len(line) > 0 && len(line)+1+len(runes) > width {
			lines, line = append(lines, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, runes...)
		for len(line) > width {
			lines, line = append(lines, string(line[:width])), line[width:]
		}
	}
	if len(line) > 0 {
		lines = append(lines, string(line))
	}
	return lines
}

// indented is a text in lines that begin with blanks.
func indented(text string, by int) string {
	var b strings.Builder
	for _, line := range wrap(text, lineWidth-by) {
		b.WriteString(strings.Repeat(" ", by) + line + "\n")
	}
	return b.String()
}

// hanging is a text whose first line begins at the left and whose others, if it
// does not fit one, begin with blanks.
func hanging(text string, by int) string {
	runes := []rune(text)
	if len(runes) <= lineWidth {
		return text + "\n"
	}
	end := strings.LastIndex(string(runes[:lineWidth+1]), " ")
	if end < 0 {
		return indented(text, 0)
	}
	return strings.TrimRight(text[:end], " ") + "\n" + indented(text[end:], by)
}
