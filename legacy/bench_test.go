package legacy_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

const benchLocks = 1000

func benchKey(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", i%benchLocks))
}

// benchFiles opens a store and a plain database with the same locks.
func benchFiles(b *testing.B) (*legacy.Store, *bolt.DB) {
	s := open(b, b.TempDir())
	changes := make([]locking.Change, benchLocks)
	for i := range changes {
		changes[i] = locking.Put(benchKey(i), storetest.Value("github.com", "acme/infra", i), locking.Any())
	}
	_, err := s.Apply(context.Background(), changes)
	require.NoError(b, err)
	plain, err := bolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, plain.Close()) })
	require.NoError(b, plain.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("runLocks"))
		for i := 0; i < benchLocks && err == nil; i++ {
			err = bucket.Put([]byte(benchKey(i).Rest()), changes[i].Value)
		}
		return err
	}))
	return s, plain
}

// reportRatio runs op in parallel as the benchmark before did and reports how
// many times longer the store took than plain bbolt.
func reportRatio(b *testing.B, ours time.Duration, op func(i int) error) {
	began := time.Now()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := op(int(n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(ours)/float64(time.Since(began)), "times-bbolt")
}

func BenchmarkApplyParallel(b *testing.B) {
	s, plain := benchFiles(b)
	b.SetParallelism(32)
	commits, n := s.LastTx(), atomic.Int64{}
	b.ResetTimer()
	began := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if err := tryPut(s, benchKey(i), fmt.Sprint(i)); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	ours := time.Since(began)
	b.ReportMetric(float64(b.N)/float64(s.LastTx()-commits), "writes/commit")
	reportRatio(b, ours, func(i int) error {
		return plain.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).Put([]byte(benchKey(i).Rest()), fmt.Append(nil, i))
		})
	})
}

func BenchmarkApplyAlone(b *testing.B) {
	s, plain := benchFiles(b)
	for i := 0; b.Loop(); i++ {
		if err := tryPut(s, benchKey(i), fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
	ours, began := b.Elapsed(), time.Now()
	for i := range b.N {
		if err := plain.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).Put([]byte(benchKey(i).Rest()), fmt.Append(nil, i))
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ours)/float64(time.Since(began)), "times-bbolt")
}

func BenchmarkGet(b *testing.B) {
	s, plain := benchFiles(b)
	var n atomic.Int64
	b.ResetTimer()
	began := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(context.Background(), benchKey(int(n.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	reportRatio(b, time.Since(began), func(i int) error {
		return plain.View(func(tx *bolt.Tx) error {
			_ = append([]byte(nil), tx.Bucket([]byte("runLocks")).Get([]byte(benchKey(i).Rest()))...)
			return nil
		})
	})
}
