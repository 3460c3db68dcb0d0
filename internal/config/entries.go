package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// entries checks the structured lists: priority rules, webhooks and ignore
// rules.
func (k *checker) entries() {
	for i, rule := range k.c.Queue.Priority.Rules {
		name := fmt.Sprintf("priority.rules[%d]", i)
		k.entry("priority.rules", name, reflect.ValueOf(rule))
		lists := 0
		for _, l := range []struct {
			name  string
			globs []string
		}{
			{"repos", rule.Repos},
			{"paths", rule.Paths},
			{"workspaces", rule.Workspaces},
			{"base-branches", rule.BaseBranches},
			{"authors", rule.Authors},
		} {
			k.globs("priority.rules", name+"."+l.name, l.globs)
			lists += len(l.globs)
		}
		if lists == 0 {
			k.warn(name+" has no list and so matches every pull request", "default-priority does that", "priority.rules")
		}
	}
	for i, hook := range k.c.Events.Webhooks {
		name := fmt.Sprintf("webhooks[%d]", i)
		k.entry("webhooks", name, reflect.ValueOf(hook))
		if u, err := url.Parse(hook.URL.Reveal()); hook.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			k.fail(name+".url is not an http or https URL", "", "webhooks")
		}
	}
	for i, rule := range k.c.Sidecar.Ignore {
		k.ignore(fmt.Sprintf("sidecar.ignore[%d]", i), rule)
	}
}

func (k *checker) ignore(name string, rule Ignore) {
	const list = "sidecar.ignore"
	k.entry(list, name, reflect.ValueOf(rule))
	if _, err := time.Parse(time.RFC3339, rule.Until); err != nil && rule.Until != "" {
		k.fail(fmt.Sprintf("%s.until is %s; expected a time such as 2026-12-31T00:00:00Z", name, quote(rule.Until)), "", list)
	}
	if rule.Keys != "" && strings.Trim(rule.Keys, "*") == "" && rule.Kind == "any" {
		k.warn(name+" ignores every divergence: comparing proves nothing", "name the keys or the kind", list)
	}
}

// entry checks the keys of one entry by their declaration.
func (k *checker) entry(list, name string, v reflect.Value) {
	for _, key := range k.keys[list].Items {
		at, field := name+"."+key.Path, v.FieldByIndex(key.index)
		key.Path = list // findings are about the list
		if key.required && field.IsZero() {
			k.fail(at+" is missing", "", list)
			continue
		}
		k.bounds(key, at, field)
	}
}
