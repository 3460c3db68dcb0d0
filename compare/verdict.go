package compare

import "time"

// Verdict is the answer of a comparison of states.
type Verdict string

// The verdicts.
const (
	Equal     Verdict = "equal"
	Different Verdict = "different"
	None      Verdict = "none" // nothing was compared, or not all of it
)

// Verification is the result of comparing all records of both stores.
type Verification struct {
	Verdict     Verdict   `json:"verdict"`
	At          time.Time `json:"at"`          // when it began
	Compared    int       `json:"compared"`    // records, of either store
	Differences int       `json:"differences"` // that no rule ignores
}

// Judge makes a Verification that began at the time. One difference is enough for "different"; for
// "equal" every record must have been compared (err is what prevented that),
// and there must have been one.
func Judge(at time.Time, compared, differences int, err error) Verification {
	v := Verification{Verdict: Equal, At: at, Compared: compared, Differences: differences}
	switch {
	case differences > 0:
		v.Verdict = Different
	case err != nil || compared == 0:
		v.Verdict = None
	}
	return v
}
