// Package reconcile makes the follower equal to the authority, for a set of
// keys: all of them on a new store or after a crash, the dirty ones after the
// follower was away, those that verify found different. It is one mechanism,
// Router.Equalize, driven from here.
//
// It also joins the follower's store and notices when that is not the one it
// was. It must not decide who answers.
package reconcile
