package totp

import (
	"context"
	"errors"
	"time"

	"github.com/go-login/auth"
)

// If the server's clock is wrong, no code of any user is right. The users see that their
// codes are wrong, and nobody sees why. So the factor counts wrong codes, in this process:
// after 20 within 10 minutes without one that is right, it reports EventAllWrong.
const (
	suspicious = 20
	wrongFor   = 10 * time.Minute
)

var errAllWrong = errors.New("totp: 20 codes were wrong within 10 minutes, and none was right: check that the clock of this server is right")

// wrongCodes are the wrong codes since a time.
type wrongCodes struct {
	since time.Time
	count int
}

// add counts a code. It reports whether this is the one after which somebody should look.
func (w *wrongCodes) add(now time.Time, right bool) bool {
	if age := now.Sub(w.since); right || w.count == 0 || age < 0 || age >= wrongFor {
		w.since, w.count = now, 0
	}
	if right {
		return false
	}
	w.count++
	return w.count == suspicious
}

// looked notes that a code was compared. A code that was used before speaks for the clock.
func (f *Factor) looked(ctx context.Context, now time.Time, right bool) {
	f.mu.Lock()
	tell := f.wrong.add(now, right)
	f.mu.Unlock()
	if tell {
		f.feature.Event(ctx, auth.Event{Kind: EventAllWrong, Method: factorName, Err: errAllWrong})
	}
}
