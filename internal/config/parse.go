package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// errSyntax says only that text is not of the type: callers know key and value
// and whether the value may be shown.
var errSyntax = errors.New("wrong syntax")

// parseText reads text as the key's type. Lists are comma-separated.
func (k Key) parseText(text string) (reflect.Value, error) {
	v := reflect.New(k.typ).Elem()
	var err error
	switch k.Type {
	case "duration":
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
	case "size":
		var s Size
		s, err = parseSize(text)
		v.SetInt(int64(s))
	case "bool":
		err = parseBool(v, text)
	case "int":
		var n int
		n, err = strconv.Atoi(text)
		v.SetInt(int64(n))
	case "number":
		var f float64
		f, err = strconv.ParseFloat(text, 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			err = errSyntax
		}
		v.SetFloat(f)
	case "list":
		v.Set(reflect.ValueOf(splitList(text)))
	default:
		v.SetString(text)
	}
	if err != nil {
		return v, errSyntax
	}
	return v, nil
}

// parseBool knows true and false only: yes, on and 1 mean different things in
// YAML 1.1, YAML 1.2 and Go.
func parseBool(v reflect.Value, text string) error {
	switch strings.ToLower(text) {
	case "true":
		v.SetBool(true)
	case "false":
		v.SetBool(false)
	default:
		return errSyntax
	}
	return nil
}

func splitList(text string) []string {
	var items []string
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// expected completes "redis.db is …; expected".
func (k Key) expected() string {
	switch k.Type {
	case "duration":
		return "a duration such as 500ms, 30s or 2h"
	case "size":
		return "a size such as 8MiB"
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	case "number":
		return "a number"
	case "list":
		return "a list of texts"
	case "list of entries":
		return "a list of entries"
	default:
		return "a text"
	}
}

// formatValue writes v as a file has it; secrets are redacted.
func formatValue(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case []string:
		return strings.Join(x, ",")
	case string:
		return hideUserinfo(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	default:
		return fmt.Sprint(x)
	}
}

// show writes the key's value in a sentence.
func (k Key) show(v reflect.Value) string {
	switch {
	case k.Secret:
		return redacted
	case k.Type == "text" || k.Type == "list":
		return quote(formatValue(v))
	default:
		return formatValue(v)
	}
}

// quote shows a value that somebody gave in a sentence. A text with blanks or of
// great length is described only: a wrong indent can pull the next line, and
// with it a password, into a value.
func quote(text string) string {
	if len(text) > 64 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return fmt.Sprintf("a text of %d characters", len([]rune(text)))
	}
	return strconv.Quote(hideUserinfo(text))
}

// hideUserinfo redacts user:password@ in text.
func hideUserinfo(text string) string {
	at := strings.LastIndex(text, "@")
	if at < 0 || !strings.Contains(text[:at], ":") {
		return text
	}
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		return scheme + "://" + redacted + text[at:]
	}
	return redacted + text[at:]
}
