package shadow

import (
	"context"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// stripes is how many locks all keys share. Two keys on one stripe wait for
// each other; with some hundred commands at once that is rare.
const stripes = 1024

// order holds a lock for each key, so that the changes of one key reach the
// follower in the order in which the authority made them.
type order struct {
	locks [stripes]chan struct{}
}

func newOrder() *order {
	o := &order{}
	for i := range o.locks {
		o.locks[i] = make(chan struct{}, 1)
	}
	return o
}

// hold locks the keys, which must be distinct, and returns what unlocks them.
// It returns the error of ctx, holding nothing, if that ends first.
func (o *order) hold(ctx context.Context, keys ...locking.Key) (release func(), err error) {
	held := make([]int, len(keys))
	for i, key := range keys {
		held[i] = o.stripe(key)
	}
	slices.Sort(held) // everybody locks in the same order
	held = slices.Compact(held)
	for i, stripe := range held {
		select {
		case o.locks[stripe] <- struct{}{}:
		case <-ctx.Done():
			o.free(held[:i])
			return nil, ctx.Err()
		}
	}
	return func() { o.free(held) }, nil
}

// holdFree locks those of the keys, which must be distinct, that nobody has
// locked, and returns the others as busy.
func (o *order) holdFree(keys []locking.Key) (free, busy []locking.Key, release func()) {
	mine := make(map[int]bool, len(keys))
	for _, key := range keys {
		stripe := o.stripe(key)
		if !mine[stripe] {
			select {
			case o.locks[stripe] <- struct{}{}:
				mine[stripe] = true
			default:
				busy = append(busy, key)
				continue
			}
		}
		free = append(free, key)
	}
	return free, busy, func() { o.free(slices.Collect(maps.Keys(mine))) }
}

func (o *order) stripe(key locking.Key) int {
	return int(crc32.ChecksumIEEE([]byte(key.String())) % stripes)
}

func (o *order) free(held []int) {
	for _, stripe := range held {
		<-o.locks[stripe]
	}
}
