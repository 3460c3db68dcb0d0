package cutover

import "time"

// LastAsked is when the enhanced store last answered as the authority.
func (k *Keeper) LastAsked() time.Time { return *k.asked.Load() }
