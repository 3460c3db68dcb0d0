package main

// examples are what --help shows of a command, by its path.
func examples(path string) []string {
	return map[string][]string{
		"serve": {
			"lock-sidecar serve",
			"lock-sidecar serve --data-dir /atlantis-data --redis-addr redis:6379",
			"lock-sidecar serve --config sidecar.yaml --log-format json",
		},
		"demo":      {"lock-sidecar demo", "lock-sidecar demo --fast --keep"},
		"status":    {"lock-sidecar status", "lock-sidecar status --watch", "lock-sidecar status --json | jq .safe_fallback"},
		"readiness": {"lock-sidecar readiness", "lock-sidecar readiness --json | jq '.items[] | select(.ok | not)'"},
		"mode": {
			"lock-sidecar mode",
			`lock-sidecar mode hybrid --percent 5 --repos "acme/*" --reason "phase 3 begins"`,
			"lock-sidecar mode primary --at-quiet",
		},
		"fallback":          {`lock-sidecar fallback --reason "maintenance of Redis"`},
		"return":            {"lock-sidecar return", `lock-sidecar return --force --reason "the postponement is over"`},
		"conflicts list":    {"lock-sidecar conflicts list"},
		"conflicts resolve": {`lock-sidecar conflicts resolve 1 --keep legacy --reason "typo in redis-cli"`},
		"drill rollback":    {"lock-sidecar drill rollback"},
		"drill outage":      {`lock-sidecar drill outage --for 10s --reason "rehearsal"`},
		"verify":            {"lock-sidecar verify", "lock-sidecar verify --timeout 2m --json"},
		"divergences":       {"lock-sidecar divergences", "lock-sidecar divergences --json | jq '.divergences[] | select(.cause == \"\")'"},
		"repair":            {"lock-sidecar repair --dry-run", "lock-sidecar repair"},
		"backfill":          {"lock-sidecar backfill"},
		"admit":             {`lock-sidecar admit 6fd1c3a2b4e59788 --reason "second replica"`},
		"audit":             {"lock-sidecar audit", "lock-sidecar audit -n 100 --json"},
		"export":            {"lock-sidecar export", "lock-sidecar export locks.jsonl --values"},
		"import":            {"lock-sidecar import locks.jsonl --dry-run", `lock-sidecar import locks.jsonl --replace --reason "moved to another host"`},
		"backup":            {"lock-sidecar backup atlantis-$(date +%F).db"},
		"wait":              {"lock-sidecar wait --timeout 30s"},
		"shutdown":          {"lock-sidecar shutdown"},
		"doctor": {
			"lock-sidecar doctor --redis-addr redis:6379",
			"lock-sidecar doctor --config sidecar.yaml --atlantis-url http://127.0.0.1:4141",
			"lock-sidecar doctor --json | jq -r '.findings[] | .severity + \": \" + .what'",
		},
		"locks list": {"lock-sidecar locks list", "lock-sidecar locks list acme/infra --sort=-since", "lock-sidecar locks list '#12' --json"},
		"locks show": {"lock-sidecar locks show 58f1dd12a3b4c5d6"},
		"locks unlock": {
			"lock-sidecar locks unlock 58f1dd12a3b4c5d6",
			`lock-sidecar locks unlock 58f1dd12a3b4c5d6 --force --reason "plan deleted by hand"`,
			"lock-sidecar locks unlock 58f1dd12a3b4c5d6 --fence 281474976710661",
		},
		"locks freeze": {
			`lock-sidecar locks freeze "acme/*" --reason "database upgrade until 15:00"`,
			"lock-sidecar locks freeze",
			`lock-sidecar locks freeze --lift "acme/*"`,
		},
		"config validate": {"lock-sidecar config validate --config sidecar.yaml"},
		"config print":    {"lock-sidecar config print --config sidecar.yaml", "lock-sidecar config print --json"},
		"version":         {"lock-sidecar version"},
		"completion": {
			"source <(lock-sidecar completion bash)",
			`lock-sidecar completion zsh > "${fpath[1]}/_lock-sidecar"`,
			"lock-sidecar completion fish > ~/.config/fish/completions/lock-sidecar.fish",
		},
	}[path]
}
