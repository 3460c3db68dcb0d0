// Package shadow is the way of one command between two stores: the authority,
// which answers, and the follower, which does the same behind it and is
// compared. Read it in this order:
//
//   - router.go: a command comes in, the authority answers, and the follower is
//     told, all under the lock of the command's keys (order.go), so that the
//     follower sees each key's changes in the authority's order.
//   - follower.go: what the follower is, and what it is told of its own store.
//   - queue.go: bounded queues, one for each partition, each with one worker.
//   - work.go: what a worker does with a task, and how it compares.
//   - dirt.go: keys of which the follower has missed a change.
//   - equalize.go: how a key that is dirty, or new, is made equal again.
//   - freezes.go, take.go: repositories whose locks get no new holder.
//   - instep.go: the note on disk that there is nothing to make equal.
//
// Nothing that the follower does can change, delay or lose an answer. The
// package knows neither BoltDB nor Redis.
package shadow
