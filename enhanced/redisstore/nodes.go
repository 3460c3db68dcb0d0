package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// node is the server to which one script is sent.
type node interface {
	Options() *redis.Options
	Do(ctx context.Context, args ...any) *redis.Cmd
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// nodes finds the node that has a key and runs do on it.
type nodes interface {
	do(ctx context.Context, key string, do func(node) error) error
}

func nodesOf(client redis.UniversalClient) (nodes, error) {
	switch c := client.(type) {
	case *redis.ClusterClient:
		return clusterNodes{c}, nil
	case *redis.Client:
		return oneNode{c}, nil
	}
	return nil, fmt.Errorf("%T is no client of one redis server or cluster", client)
}

type oneNode struct{ node node }

func (o oneNode) do(_ context.Context, _ string, do func(node) error) error { return do(o.node) }

// clusterNodes picks the master itself. ClusterClient would send a write again
// after a connection that failed, and WAIT to any node at all.
type clusterNodes struct{ cluster *redis.ClusterClient }

// A MOVED means that nothing was done, and that the map of the cluster is being
// read again; go-redis does that at most every 200 ms.
const (
	movedTries = 4
	movedPause = 75 * time.Millisecond
)

func (c clusterNodes) do(ctx context.Context, key string, do func(node) error) error {
	for try := 1; ; try++ {
		master, err := c.cluster.MasterForKey(ctx, key)
		if err != nil {
			return fmt.Errorf("%w: find master: %w", errDial, err)
		}
		err = do(master)
		if err == nil {
			return nil
		}
		if _, own := errors.AsType[redis.Error](err); !own || redis.HasErrorPrefix(err, "READONLY") || redis.HasErrorPrefix(err, "MOVED") {
			c.cluster.ReloadState(ctx)
		}
		if try == movedTries || !redis.HasErrorPrefix(err, "MOVED") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(movedPause):
		}
	}
}
