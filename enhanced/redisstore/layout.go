package redisstore

import (
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// schema is the version of the layout, kept in every head. docs/redis-schema.md
// says when it changes and what then happens.
const schema = "1"

// layout names the keys in Redis. It is the prefix of all of them.
type layout string

func (l layout) head(partition int) string  { return l.key("head", partition) }
func (l layout) index(partition int) string { return l.key("index", partition) }

// mode belongs to no partition.
func (l layout) mode() string { return string(l) + "mode" }

func (l layout) record(k locking.Key) string {
	return l.key(k.Kind().String(), k.Partition()) + ":" + k.Rest()
}

func (l layout) key(kind string, partition int) string {
	return fmt.Sprintf("%s%s:{%02d}", string(l), kind, partition)
}
