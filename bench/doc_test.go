// Package bench measures the built binary beside something real in the same run, turn by turn, so that a ratio holds
// while the machine's speed drifts. Its numbers are those of the README. Nothing here passes or fails on time.
package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// side is one of those that are compared.
type side struct {
	name   string
	client *redis.Client
}

// sides starts a sidecar in each mode and, last, a Redis that is as durable:
// every write is on the disk before its answer.
func sides(b *testing.B) []side {
	var all []side
	for _, mode := range []string{"legacy", "shadow"} {
		p := sidecar.Start(b, sidecar.Options{Args: []string{"--log-level", "warn", "--mode", mode}})
		all = append(all, side{mode, p.Client(b)})
	}
	r := redistest.Start(b, "--appendonly", "yes", "--appendfsync", "always")
	return append(all, side{"redis", r.Client(b)})
}

// compare runs op on all sides in turn, with the given number of clients at a time, and reports the median time of
// one operation on each and the ratios of the medians to the last.
func compare(b *testing.B, clients int, prepare func(*redis.Client) error, op func(c *redis.Client, client, i int) error) {
	all := sides(b)
	for _, s := range all {
		if err := prepare(s.client); err != nil {
			b.Fatal(err)
		}
	}
	took := make([][]time.Duration, len(all))
	i := 0
	for b.Loop() {
		for k, s := range all {
			began := time.Now()
			var running sync.WaitGroup
			for client := range clients {
				running.Go(func() {
					if err := op(s.client, client, i); err != nil {
						b.Error(s.name, err)
					}
				})
			}
			running.Wait()
			took[k] = append(took[k], time.Since(began))
		}
		i++
	}
	medians := make([]float64, len(all))
	for k, s := range all {
		slices.Sort(took[k])
		medians[k] = float64(took[k][len(took[k])/2].Microseconds()) / float64(clients)
		b.ReportMetric(medians[k], s.name+"-µs/op")
	}
	last := len(all) - 1
	for k, s := range all[:last] {
		b.ReportMetric(medians[k]/medians[last], s.name+"/"+all[last].name)
	}
	b.ReportMetric(0, "ns/op") // of all together: says nothing
}

func key(client, i int) string { return fmt.Sprintf("pr/acme/infra/%d-%d/default/", client, i%1000) }

// lock is the length of a real lock's JSON, some 700 bytes.
func lock(client, i int) string {
	return fmt.Sprintf(`{"Project":{"ProjectName":"","RepoFullName":"acme/infra","Path":"%d-%d"},"Pull":{"Num":%d,"Body":"%0600d",`+
		`"BaseRepo":{"FullName":"acme/infra","VCSHost":{"Hostname":"github.com","Type":0}}},"Workspace":"default"}`, client, i%1000, client+1, 0)
}

// Who holds this lock? The question that Atlantis asks most.
func BenchmarkGet(b *testing.B) {
	for _, clients := range []int{1, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			compare(b, clients,
				func(c *redis.Client) error { return c.Set(context.Background(), key(0, 0), lock(0, 0), 0).Err() },
				func(c *redis.Client, _, _ int) error { return c.Get(context.Background(), key(0, 0)).Err() })
		})
	}
}

// Take a lock and give it back, each on the disk before the answer.
func BenchmarkAcquireAndRelease(b *testing.B) {
	for _, clients := range []int{1, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			compare(b, clients, func(*redis.Client) error { return nil }, func(c *redis.Client, client, i int) error {
				if err := c.Set(context.Background(), key(client, i), lock(client, i), 0).Err(); err != nil {
					return err
				}
				return c.Del(context.Background(), key(client, i)).Err()
			})
		})
	}
}

// List every lock, a thousand of them.
func BenchmarkListThousandLocks(b *testing.B) {
	compare(b, 1, func(c *redis.Client) error {
		for i := range 1000 {
			if err := c.Set(context.Background(), key(0, i), lock(0, i), 0).Err(); err != nil {
				return err
			}
		}
		return nil
	}, func(c *redis.Client, _, _ int) error {
		n := 0
		for keys := c.Scan(context.Background(), 0, "pr*", 0).Iterator(); keys.Next(context.Background()); n++ {
		}
		if n != 1000 {
			return fmt.Errorf("%d locks listed", n)
		}
		return nil
	})
}
