package config

import (
	"strings"
	"unicode"
)

// suggest returns the known path that unknown most likely means, or "".
// A key in the wrong section counts as near if its last part is right.
func suggest(unknown string, known []string) string {
	wanted := kebab(unknown)
	best, bestScore := "", max(2, len(wanted)/4)+1
	for _, path := range known {
		score := distance(wanted, path)
		if last := distance(lastPart(wanted), lastPart(path)); last <= 1 {
			score = min(score, 1+last)
		}
		if score < bestScore {
			best, bestScore = path, score
		}
	}
	return best
}

func lastPart(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// kebab turns poolSize and pool_size into pool-size.
func kebab(name string) string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		switch {
		case unicode.IsUpper(r):
			if lower {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(r))
		case r == '_':
			b.WriteByte('-')
		default:
			b.WriteRune(r)
		}
		lower = unicode.IsLower(r)
	}
	return b.String()
}

// distance is Levenshtein's edit distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
