package redisstore

import "context"

// Ownership is whose store it is, as a look at its first head says.
type Ownership struct {
	Owner    string   // id of the sidecar that owns it; "": nobody does yet
	Admitted []string // ids of the others that it lets in
}

// Ownership asks without joining: it raises no epoch and changes nothing.
func (s *Store) Ownership(ctx context.Context) (Ownership, error) {
	head, err := s.peek(ctx, 0)
	if err != nil {
		return Ownership{}, noWrite("read head", err)
	}
	if head.present && head.schema != schema {
		return Ownership{}, wrongSchema(head.schema)
	}
	return Ownership{Owner: head.owner, Admitted: splitIDs(head.admitted)}, nil
}
