package embedded_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

const benchKeys = 1000

func benchKey(i uint64) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/%d/x/default/", i%benchKeys))
}

// BenchmarkApply puts locks by ones, from one caller and from 64, in both modes and beside what bbolt alone does.
func BenchmarkApply(b *testing.B) {
	value := func(i uint64) []byte { return storetest.Value("github.com", "acme/infra", int(i)) }
	run := func(b *testing.B, put func(i uint64) error) {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
				var next atomic.Uint64
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						require.NoError(b, put(next.Add(1)))
					}
					return
				}
				b.SetParallelism(callers / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := put(next.Add(1)); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
	for name, every := range modes {
		b.Run(name, func(b *testing.B) {
			s := open(b, b.TempDir(), every)
			run(b, func(i uint64) error {
				_, err := s.Apply(context.Background(), []locking.Change{locking.Put(benchKey(i), value(i), locking.Any())})
				return err
			})
		})
	}
	b.Run("bbolt", func(b *testing.B) {
		db, err := bolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
		require.NoError(b, err)
		defer db.Close()
		run(b, func(i uint64) error {
			return db.Update(func(tx *bolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte("locks"))
				if err != nil {
					return err
				}
				return bucket.Put([]byte(benchKey(i).String()), value(i))
			})
		})
	})
}

// BenchmarkGet reads one record, in both modes.
func BenchmarkGet(b *testing.B) {
	for name, every := range modes {
		b.Run(name, func(b *testing.B) {
			s := open(b, b.TempDir(), every)
			put(b, s, lockA, "held")
			b.ReportAllocs()
			for b.Loop() {
				_, err := s.Get(context.Background(), lockA)
				require.NoError(b, err)
			}
		})
	}
}
