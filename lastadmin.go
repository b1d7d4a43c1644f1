package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file keeps the last administrator. One record lists the users whom SetRoles has made
// administrators: a seat for each. A change that takes an administrator away first marks
// the user's seat, by compare-and-set, after it has found another seat that is not marked
// and whose user is an enabled administrator. If two changes do so at once, one of them
// loses the compare-and-set, looks again, and finds the other's mark.
//
// A seat makes nobody an administrator: the user of each seat is loaded, and the role in the
// account decides. So a seat that is left over, for example because a process died, does no
// harm.

const (
	// seatHeld is how long a mark lasts if its process has died. A change takes at most
	// finishTimeout; clocks may differ by maxSkew.
	seatHeld = 5 * time.Minute

	// maxSeats limits the record. If so many users are administrators, further ones are not
	// counted.
	maxSeats = 500

	// maxPruned is how many seats are looked at if there is none left.
	maxPruned = 20

	// markLeft is the mark of a seat whose change has failed, and may have been made.
	// Other marks are random numbers from markFrom on.
	markLeft = 1
	markFrom = 2

	adminsKey = "all"
)

// A seat is an entry of the record of the administrators.
type seat struct {
	userID string
	mark   uint64    // 0 if the seat is not marked
	until  time.Time // when the mark ends
}

func encodeSeats(seats []seat) []byte {
	b := []byte{formatVersion}
	for _, s := range seats {
		b = wire.AppendText(b, s.userID)
		b = binary.AppendUvarint(b, s.mark)
		b = binary.AppendVarint(b, s.until.UnixMilli())
	}
	return b
}

const errSeats broken = "auth: the record of the administrators is damaged; delete the records of the kind administrators, and call SetRoles for each administrator"

func decodeSeats(data []byte) (seats []seat, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	r := wire.NewReader(string(data))
	if r.Byte() != formatVersion {
		return nil, errSeats
	}
	for r.OK() && r.Rest() != "" {
		s := seat{userID: r.Text(), mark: r.Uvarint()}
		s.until = time.UnixMilli(r.Varint())
		seats = append(seats, s)
	}
	if !r.OK() {
		return nil, errSeats
	}
	return seats, nil
}

// changeSeats changes the record of the administrators by compare-and-set.
func (c *Core) changeSeats(ctx context.Context, change func([]seat) ([]seat, error)) error {
	return changeRecord(ctx, c.records, kindAdmins, adminsKey, func(r *Record, _ bool) error {
		seats, err := decodeSeats(r.Data)
		if err != nil {
			return err
		}
		if seats, err = change(seats); err != nil {
			return err
		}
		r.Data = encodeSeats(seats)
		return nil
	})
}

// isAdmin reports whether an account has the role of the administrators.
func (c *Core) isAdmin(a *Account) bool {
	return c.cfg.Roles.Admin != "" && slices.Contains(a.Roles, c.cfg.Roles.Admin)
}

// addSeat notes that a user is about to become an administrator. If there is no seat left,
// it first looks for some that are void.
func (c *Core) addSeat(ctx context.Context, userID string) error {
	return c.changeSeats(ctx, func(seats []seat) ([]seat, error) {
		if slices.ContainsFunc(seats, func(s seat) bool { return s.userID == userID }) {
			return nil, errUnchanged
		}
		if len(seats) >= maxSeats {
			var err error
			if seats, err = c.pruneSeats(ctx, seats); err != nil || len(seats) >= maxSeats {
				return seats, err
			}
		}
		return append(seats, seat{userID: userID, until: time.UnixMilli(0)}), nil
	})
}

// pruneSeats removes those of the first seats whose users are no administrators any more, and
// moves the others to the end. So the next call looks at the seats that follow.
func (c *Core) pruneSeats(ctx context.Context, seats []seat) ([]seat, error) {
	pruned := slices.Clone(seats[maxPruned:])
	for _, s := range seats[:maxPruned] {
		if !s.isHeld(c.cfg.Now()) {
			user, err := c.store.load(ctx, s.userID)
			switch {
			case errors.Is(err, ErrUserNotFound):
				continue
			case err != nil:
				return nil, err
			case !c.isAdmin(user.AuthAccount()):
				continue
			}
		}
		pruned = append(pruned, s)
	}
	return pruned, nil
}

// A heldSeat is a seat that a change has marked. nil stands for none.
type heldSeat struct {
	core   *Core
	mark   uint64
	before seat // the seat without this mark
}

// holdSeat makes sure that a change may take away an administrator, and marks the user's
// seat. It returns ErrLastAdmin if there is no other administrator. If the user is no
// administrator, nothing is marked, and held is nil.
func (c *Core) holdSeat(ctx context.Context, userID string) (held *heldSeat, err error) {
	user, err := c.store.load(ctx, userID)
	if err != nil || !c.isAdmin(user.AuthAccount()) {
		return nil, err
	}
	held = &heldSeat{core: c, mark: markFrom + uint64(keyring.RandomVersion())}
	err = c.changeSeats(ctx, func(seats []seat) ([]seat, error) {
		if err := c.otherAdmin(ctx, seats, userID); err != nil {
			return nil, err
		}
		held.before = seat{userID: userID}
		now := c.cfg.Now()
		for i, s := range seats {
			switch {
			case s.userID != userID:
			case s.isHeld(now) && s.mark != markLeft:
				return nil, ErrConflict // another change of this administrator is under way
			default:
				held.before = s
				seats[i].mark, seats[i].until = held.mark, now.Add(seatHeld)
			}
		}
		return seats, nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// isHeld reports whether the seat is marked. A mark that ends later than it can was made by a
// clock that is ahead.
func (s seat) isHeld(now time.Time) bool {
	return s.mark != 0 && now.Before(s.until) && s.until.Sub(now) <= seatHeld+maxSkew
}

// otherAdmin returns nil if a seat that is not marked is that of an enabled administrator
// other than this user. Otherwise it returns ErrLastAdmin.
func (c *Core) otherAdmin(ctx context.Context, seats []seat, userID string) error {
	for _, s := range seats {
		if s.userID == userID || s.isHeld(c.cfg.Now()) {
			continue
		}
		user, err := c.store.load(ctx, s.userID)
		switch {
		case errors.Is(err, ErrUserNotFound):
		case err != nil:
			return err
		case c.isAdmin(user.AuthAccount()) && !user.AuthAccount().Disabled:
			return nil
		}
	}
	return ErrLastAdmin
}

// release ends the mark after the change, which has left the user as after, or has failed
// with err. If the user is no administrator any more, the seat goes, too.
//
// After a failure of the store, nobody knows whether the change is made: the database may
// still be at work on it. So the seat stays marked, and does not count for the removal of
// another administrator until the mark ends. The same change can be tried again at once.
func (h *heldSeat) release(ctx context.Context, after User, failed error) {
	if h == nil {
		return
	}
	c, userID := h.core, h.before.userID
	detached, cancel := detach(ctx)
	defer cancel()
	err := c.changeSeats(detached, func(seats []seat) ([]seat, error) {
		i := slices.IndexFunc(seats, func(s seat) bool { return s.userID == userID && s.mark == h.mark })
		switch {
		case i < 0:
			return nil, errUnchanged
		case after == nil && failed != nil && statusOf(failed) < http.StatusInternalServerError:
			seats[i] = h.before
			return seats, nil
		case after == nil:
			seats[i].mark = markLeft
			return seats, nil
		case !c.isAdmin(after.AuthAccount()): // unless another request has made the user an administrator again
			user, err := c.store.load(detached, userID)
			if err != nil && !errors.Is(err, ErrUserNotFound) {
				return nil, err
			}
			if err != nil || !c.isAdmin(user.AuthAccount()) {
				return slices.Delete(seats, i, i+1), nil
			}
		}
		seats[i].mark, seats[i].until = 0, time.UnixMilli(0)
		return seats, nil
	})
	if err != nil { // the mark ends by itself
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
	}
}
