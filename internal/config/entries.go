package config

import (
	"fmt"
	"net/url"
	"reflect"
)

// entries checks the structured lists: priority rules and webhooks.
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
