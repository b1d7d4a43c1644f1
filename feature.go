package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// Limits of what a feature stores. With the feature's name and a slash, a key is shorter
// than the 200 bytes that storetest requires of a store.
const maxFeatureKey = 160

// Feature returns the feature with this name: see the type. The name has 1 to 32
// letters, digits, dots, dashes and colons, such as "totp". Each name is given out
// once, so that two packages never share records by accident. A second call with the
// same name returns an error. So does a name that the library uses for records of its
// own, such as "session".
func (c *Core) Feature(name string) (*Feature, error) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:"
	switch {
	case c == nil:
		return nil, fmt.Errorf("auth: Feature %q of a nil Core: pass manager.Core", name)
	case name == "" || len(name) > maxFeatureName || strings.Trim(name, allowed) != "":
		return nil, fmt.Errorf("auth: Feature %q: a name has 1 to %d letters, digits, dots, dashes and colons", name, maxFeatureName)
	case slices.ContainsFunc(recordKinds(), func(k recordKind) bool { return k.name == name }):
		return nil, fmt.Errorf("auth: Feature %q: the library uses this name itself; choose another one", name)
	}
	if !c.features.claim(name) {
		return nil, fmt.Errorf("auth: Feature %q exists already: each name is given out once for a Core", name)
	}
	return &Feature{c, name, kindFeature, name + "/"}, nil
}

// A FactorBinder is a Factor that stores something, such as secrets and counters.
// Implementing it is optional. New calls Bind once, with the feature of the factor's
// name.
type FactorBinder interface {
	Bind(f *Feature) error
}

// Insert stores a record of the feature. It uses the record's Key, UserID, Data and
// Expires. It returns ErrRecordExists if the feature has a record with this key
// already, and ErrInvalidRecord if the key is empty or has more than 160 bytes.
//
// Store secrets only as a hash, in the key as well as in the data. Otherwise an
// attacker who can read the database has them.
//
// If the record has a UserID, the account must exist (else ErrUserNotFound) and not be
// disabled (else ErrDisabled). So no record is left if the account is closed at the
// same moment.
func (f *Feature) Insert(ctx context.Context, r Record) error {
	if !f.canKeep(r.Key) {
		return ErrInvalidRecord
	}
	r.Kind, r.Key, r.Data, r.Version = f.kind, f.prefix+r.Key, bytes.Clone(r.Data), keyring.RandomVersion()
	if err := f.core.records.InsertRecord(ctx, r); err != nil || r.UserID == "" {
		return err
	}
	// CloseAccount disables the account, then deletes the records, and deletes the
	// user last. If the account is enabled now, CloseAccount will find this record.
	ctx, cancel := detach(ctx) // the check must run even if the client has gone: the record is stored
	defer cancel()
	user, err := f.core.users.load(ctx, r.UserID)
	if err == nil {
		err = gateDisabled(ctx, &attempt{user: user})
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, f.takeBack(ctx, r))
}

// takeBack removes a record that was just inserted, by making it expire by
// compare-and-set. TakeRecord could delete a newer record that has got the same key
// meanwhile.
func (f *Feature) takeBack(ctx context.Context, r Record) error {
	r.Data, r.Expires = nil, f.Now().Add(-24*time.Hour)
	err := f.core.records.UpdateRecord(ctx, r)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return unlessNotFound(err)
}

// Get returns the feature's record with this key, or ErrRecordNotFound.
func (f *Feature) Get(ctx context.Context, key string) (Record, error) {
	if !f.canKeep(key) {
		return Record{}, ErrRecordNotFound
	}
	r, err := f.core.records.GetRecord(ctx, f.kind, f.prefix+key)
	return f.shown(r), err
}

// Take deletes the feature's record with this key and returns it. If there is none, it
// returns ErrRecordNotFound. If several calls run at the same time, exactly one gets
// the record.
func (f *Feature) Take(ctx context.Context, key string) (Record, error) {
	if !f.canKeep(key) {
		return Record{}, ErrRecordNotFound
	}
	r, err := f.core.records.TakeRecord(ctx, f.kind, f.prefix+key)
	return f.shown(r), err
}

// List returns the feature's records of a user, in no particular order.
func (f *Feature) List(ctx context.Context, userID string) ([]Record, error) {
	records, err := f.core.records.ListRecords(ctx, f.kind, userID)
	if err != nil {
		return nil, err
	}
	var own []Record
	for _, r := range records {
		if strings.HasPrefix(r.Key, f.prefix) {
			own = append(own, f.shown(r))
		}
	}
	return own, nil
}

// Delete deletes the feature's records of a user, except those whose keys are in keep.
// If one cannot be deleted, Delete goes on with the others and returns the error at the
// end.
func (f *Feature) Delete(ctx context.Context, userID string, keep ...string) error {
	records, err := f.List(ctx, userID)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range records {
		if !slices.Contains(keep, r.Key) {
			failed = append(failed, take(ctx, f.core.records, f.kind, f.prefix+r.Key))
		}
	}
	return errors.Join(failed...)
}

// Change changes the Data and Expires of a record by compare-and-set. It reads the
// record, calls change, and stores the result. If another request has changed the
// record meanwhile, Change begins again. So change may run several times, and must have
// no effect other than on the record.
//
// It returns ErrRecordNotFound if there is no such record. If change returns an error,
// Change stores nothing and returns that error. If other requests were first 200 times
// in a row, it returns ErrConflict.
func (f *Feature) Change(ctx context.Context, key string, change func(*Record) error) error {
	for range maxConflicts {
		r, err := f.Get(ctx, key)
		if err != nil {
			return err
		}
		next := r
		if err := change(&next); err != nil {
			return err
		}
		r.Kind, r.Key, r.Data, r.Expires = f.kind, f.prefix+key, bytes.Clone(next.Data), next.Expires
		if err := f.core.records.UpdateRecord(ctx, r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// canKeep reports whether a record of the feature can have this key.
func (f *Feature) canKeep(key string) bool { return key != "" && len(key) <= maxFeatureKey }

// shown returns a record as the feature sees it. Its Data is the feature's own: the store
// may have returned what it keeps.
func (f *Feature) shown(r Record) Record {
	r.Kind, r.Key, r.Data = f.name, strings.TrimPrefix(r.Key, f.prefix), bytes.Clone(r.Data)
	return r
}

// Seal encrypts and signs data, as text for a URL or a cookie. Open of the same feature
// returns the data until the given time. The text can be sent any number of times. For
// something that works only once, store a record, and Take it.
func (f *Feature) Seal(data []byte, until time.Time) string {
	return f.core.secrets.Seal(purposeFeature+f.name, data, until)
}

// Open returns the data that Seal was given. It returns false if the text has expired,
// was changed, or was sealed by another feature or under a secret that is no longer in
// Config.Secrets.
func (f *Feature) Open(text string) (data []byte, ok bool) {
	data, _, ok = f.core.secrets.Open(purposeFeature+f.name, text, f.Now())
	return data, ok
}

// Cookie returns a cookie of the feature, with the attributes of all the application's
// cookies. Set its Value, and its MaxAge if the cookie shall outlive the browser's
// session. Send it by http.SetCookie(w, &c). The name has letters, digits, dots and
// dashes.
func (f *Feature) Cookie(name string) http.Cookie {
	// A cookie's name cannot have a colon. A feature's name has no _ and no ~, so the
	// cookie names of two features differ.
	return f.core.Cookie(strings.ReplaceAll(f.name, ":", "_") + "~" + name)
}

// Event reports to the log and to Config.OnEvent what happened. Set Kind, UserID,
// Method and Err; the time and the client are added. If you define a Kind, begin it
// with the feature's name: "totp.enrolled". Never put a secret into an event.
func (f *Feature) Event(ctx context.Context, e Event) { f.core.event(ctx, e) }

// MayAct returns nil if the account of this user may be changed by the user who makes the
// request: see Core.SetRoles. It also returns the ID of that user, for Event.ActorID, if it
// is another user. Call it in functions for administrators.
func (f *Feature) MayAct(ctx context.Context, userID string) (actorID string, failing error) {
	defer f.core.met(ctx, &failing)
	act, err := f.core.actOn(ctx, userID)
	if err == nil {
		err = act.mayOn(ctx, userID)
	}
	return act.actor, err
}

// Host is the host of Config.BaseURL, without a port: "app.example".
func (f *Feature) Host() string { return f.core.site.origin.Hostname() }

// Origin is the origin of Config.BaseURL as browsers write it: "https://app.example", with
// the port if it is not the usual one.
func (f *Feature) Origin() string { return f.core.site.origin.String() }

// Now returns the time by Config.Now.
func (f *Feature) Now() time.Time { return f.core.cfg.Now() }

// Count counts an attempt at a secret of the feature, such as a code, and then calls
// check. check looks at what the user typed, and reports whether it is right. Count
// returns what check returns.
//
// Without a count, an attacker could try all possible codes. Count stores the attempt
// before check runs, so an attacker gains nothing by many attempts at the same time.
// There is one count for each account and feature, whatever the browser and the
// address. After 5 wrong attempts in a row, all attempts are refused for 30 seconds.
// Each further wrong one doubles that time, to an hour at most. After 100, all are
// refused until an administrator calls Unlock (NIST SP 800-63B-4, section 3.2.2). Wrong
// attempts also count for Config.Limits.Guesses.
//
// If check returns true, the count goes back to zero. If check returns an error, the
// attempt is taken off the count. Count returns false and ErrLocked, without calling
// check, while attempts are refused. If the wait has an end, that is a [WaitError]. Count
// also returns false with ErrBusy, a RateLimitError, or a failure of the store.
//
// In one process, the attempts at an account run one after the other. So check must not
// call Count for the same user.
func (f *Feature) Count(ctx context.Context, userID string, check func() (bool, error)) (bool, error) {
	right, _, err := f.count(ctx, userID, check)
	return right, err
}

// count is Count. After a wrong attempt it also returns how long attempts are refused from
// now on.
func (f *Feature) count(ctx context.Context, userID string, check func() (bool, error)) (right bool, wait time.Duration, err error) {
	if userID == "" {
		return false, 0, ErrUserNotFound
	}
	g := &guess{
		core: f.core, ctx: ctx, kind: kindFeatureAttempts, key: f.counterKey(userID),
		userID: userID, final: true,
	}
	if err := g.begin(); err != nil {
		return false, 0, err
	}
	defer g.leave() // if check panics, the attempt stays counted
	if g.err != nil {
		return false, 0, waiting(ErrLocked, g.wait)
	}
	switch right, err := check(); {
	case err != nil:
		g.void()
		return false, 0, err
	case right:
		err = g.right()
		return err == nil, 0, err
	}
	f.wrong(g)
	if g.count < maxAttempts { // after the hundredth, the wait has no end
		wait = waitAfter(g.count)
	}
	return false, wait, nil
}

// counterKey is the key under which attempts at a user's secret are counted.
func (f *Feature) counterKey(userID string) string { return counterKey("feature "+f.name, userID) }

// disabled reports whether no attempt is looked at any more, after a hundred wrong ones.
func (f *Feature) disabled(ctx context.Context, userID string) (bool, error) {
	n, err := f.core.updateCounter(ctx, kindFeatureAttempts, f.counterKey(userID), userID, func(*counter) error { return errUnchanged })
	if err != nil && !errors.Is(err, errUnchanged) {
		return false, err
	}
	return n.count >= maxAttempts, nil
}

// wrong settles that an attempt was wrong. If it has disabled a factor, the owner gets a
// mail.
func (f *Feature) wrong(g *guess) {
	if !g.wrongSecret(f.name) || f.core.factors[f.name] != f {
		return
	}
	f.Tell(g.ctx, MailFactorDisabled, g.userID)
}

// Tell mails a user what happened to the account. kind is one of the constants Mail… whose
// mails have no link; the mail's Factor is the feature's name. Without a Mailer, Tell does
// nothing. If the mail fails, that is an EventMailFailed. If the address is not verified, the
// number of mails is limited.
func (f *Feature) Tell(ctx context.Context, kind MailKind, userID string) {
	if f.core.cfg.Mailer == nil {
		return
	}
	user, err := f.core.users.load(ctx, userID)
	if err != nil {
		f.Event(ctx, Event{Kind: EventMailFailed, UserID: userID, Err: err})
		return
	}
	f.core.tell(ctx, Mail{Kind: kind, To: user.AuthAccount().Email, User: user, Factor: f.name})
}

// Suspended reports that a secret of a user seems to have been copied, and is not accepted
// any more. The owner gets a MailFactorSuspended.
func (f *Feature) Suspended(ctx context.Context, userID string) {
	f.Event(ctx, Event{Kind: EventFactorSuspended, UserID: userID, Method: f.name})
	f.Tell(ctx, MailFactorSuspended, userID)
}

// forgetFeatures deletes records that features stored while CloseAccount was deleting
// the records and the account. If accounts can be disabled, Insert has refused such
// records.
func (c *Core) forgetFeatures(ctx context.Context, userID string) {
	if c.Keeps(FieldDisabled) {
		return
	}
	if err := c.records.DeleteRecords(ctx, kindFeature, userID); err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
	}
}
