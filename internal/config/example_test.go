package config_test

import (
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// A variable wins over the file; the source of each value is kept.
func ExampleLoad() {
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"LOCK_SIDECAR_REDIS_DB": "2"}[name]
		return value, ok
	}
	c, warnings, err := config.Load(config.LoadOptions{File: "testdata/development.yaml", LookupEnv: lookup, Strict: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range warnings {
		fmt.Println(w.Where, w.Key)
	}
	fmt.Println(c.Redis.DB, "from", c.Source("redis.db"))
	fmt.Println(c.Redis.KeyPrefix, "from", c.Source("redis.key-prefix"))
	// Output:
	// testdata/development.yaml:5 default-timeout
	// testdata/development.yaml:5 default-timeout
	// 2 from env LOCK_SIDECAR_REDIS_DB
	// atlantis:dev: from file testdata/development.yaml:11
}
