package script_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

func Example() {
	cache := script.NewCache(script.Limits{Time: 10 * time.Second}, 100, 1<<20)
	program, err := cache.Load(`
		local lock = cjson.decode(redis.call("GET", KEYS[1]))
		if lock.Pull.Num ~= tonumber(ARGV[1]) then return redis.error_reply("LOCKED by another pull") end
		return redis.call("DEL", KEYS[1])`)
	if err != nil {
		fmt.Println(err)
		return
	}
	view := memory{"pr/acme/infra/./default/": `{"Pull":{"Num":12}}`}
	for _, pull := range []string{"13", "12"} {
		reply, err := program.Run(context.Background(), []string{"pr/acme/infra/./default/"}, []string{pull}, view)
		fmt.Println(reply.Int, reply.Text, err)
	}
	// Output:
	// 0 LOCKED by another pull <nil>
	// 1  <nil>
}
