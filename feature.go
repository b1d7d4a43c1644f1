package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// Limits of what a feature stores. With the name, a key is within the 200 bytes that
// storetest asks of a store.
const (
	maxFeatureName = 32
	maxFeatureKey  = 160
)

// Feature returns the share of the Core with this name. The name has 1 to 32 letters,
// digits, dots, dashes and colons, such as "totp". Each name is given out once, so that
// two packages never share records by accident: a second call with the same name is an
// error. So is a name that the library uses for records of its own, such as "session".
func (c *Core) Feature(name string) (*Feature, error) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:"
	switch {
	case c == nil:
		return nil, fmt.Errorf("auth: Feature %q of a nil Core: pass manager.Core", name)
	case name == "" || len(name) > maxFeatureName || strings.Trim(name, allowed) != "":
		return nil, fmt.Errorf("auth: Feature %q: a name has 1 to %d letters, digits, dots, dashes and colons", name, maxFeatureName)
	case slices.ContainsFunc(recordKinds(), func(k recordKind) bool { return k.name == name }):
		return nil, fmt.Errorf("auth: Feature %q: the library uses this name itself", name)
	}
	if !c.features.claim(name) {
		return nil, fmt.Errorf("auth: Feature %q is claimed already: each name is given out once for a Core", name)
	}
	return &Feature{c, name, kindFeature, name + "/"}, nil
}

// A FactorBinder is a Factor that keeps something, such as secrets and counters.
// Optional. New calls Bind once, with the feature of the factor's name.
type FactorBinder interface {
	Bind(f *Feature) error
}

// Insert stores a record of the feature, or returns ErrRecordExists if it has one with
// this key already. It uses the record's Key, UserID, Data and Expires.
//
// A key has at most 160 bytes, else it is ErrInvalidRecord. Store secrets only as a hash,
// as a key too: anybody who can read the database would have them.
//
// If the record has a UserID, the account must exist (else ErrUserNotFound) and not be
// disabled (else ErrDisabled). So no record is left if the account is closed at the same
// moment.
func (f *Feature) Insert(ctx context.Context, r Record) error {
	if !f.canKeep(r.Key) {
		return ErrInvalidRecord
	}
	r.Kind, r.Key, r.Version = f.kind, f.prefix+r.Key, keyring.RandomVersion()
	if err := f.core.records.InsertRecord(ctx, r); err != nil || r.UserID == "" {
		return err
	}
	// CloseAccount disables the account, then deletes the records, and deletes the
	// user last. If the account is alive now, CloseAccount will find this record.
	ctx, cancel := detach(ctx) // the record is there, also if the client has gone
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

// takeBack removes a record that was just inserted. It expires by compare-and-set: by
// TakeRecord another one that has got the same key meanwhile would be lost.
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

// Take deletes the feature's record with this key and returns it, or returns
// ErrRecordNotFound. Of any number of concurrent calls, one gets the record.
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
// It goes on after a failure, and returns it: some of the records may then be gone.
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
// record, lets change work on it, and stores the result. If somebody else has changed
// the record meanwhile, it begins again. So change may run several times, and must do
// nothing but look at the record and change it.
//
// It returns ErrRecordNotFound if there is no such record; the error of change, after
// which nothing is stored; or ErrConflict, if other changes have come first 200 times.
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
		r.Kind, r.Key, r.Data, r.Expires = f.kind, f.prefix+key, next.Data, next.Expires
		if err := f.core.records.UpdateRecord(ctx, r); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ErrConflict
}

// canKeep reports whether a record of the feature can have this key.
func (f *Feature) canKeep(key string) bool { return key != "" && len(key) <= maxFeatureKey }

// shown returns a record as the feature sees it.
func (f *Feature) shown(r Record) Record {
	r.Kind, r.Key = f.name, strings.TrimPrefix(r.Key, f.prefix)
	return r
}

// Seal encrypts and signs data, as text for a URL or a cookie. Open of the same feature
// returns the data before the time until. Whoever has the text can send it any number of
// times: for what works once, store a record, and Take it.
func (f *Feature) Seal(data []byte, until time.Time) string {
	return f.core.secrets.Seal("feature "+f.name, data, until)
}

// Open returns what Seal was given. It returns false if the text has expired, was
// changed, or was sealed by another feature or under a secret that is not in
// Config.Secrets any more.
func (f *Feature) Open(text string) (data []byte, ok bool) {
	data, _, ok = f.core.secrets.Open("feature "+f.name, text, f.Now())
	return data, ok
}

// Cookie returns a cookie of the feature, with the attributes of all the application's
// cookies. Set its Value, its MaxAge if it is to outlive the browser's session, and send
// it: http.SetCookie(w, &c). The name has letters, digits, dots and dashes.
func (f *Feature) Cookie(name string) http.Cookie {
	// No colon may be in a cookie's name, and no feature's name has a _ or a ~ in it.
	return f.core.Cookie(strings.ReplaceAll(f.name, ":", "_") + "~" + name)
}

// Event tells the log and Config.OnEvent what happened. Set its Kind, UserID, Method and
// Err; the time and the client are added. A Kind of the feature's own begins with its
// name: "totp-enrolled". An event must not have a secret in it.
func (f *Feature) Event(ctx context.Context, e Event) { f.core.event(ctx, e) }

// Host is the host of Config.BaseURL, without a port: "app.example".
func (f *Feature) Host() string { return f.core.baseURL.Hostname() }

// Now is the time by Config.Now.
func (f *Feature) Now() time.Time { return f.core.cfg.Now() }

// Count lets somebody try a secret of the feature's, such as a code. check looks at what
// was typed, and reports whether it is right; Count returns what check does.
//
// An attacker could otherwise try all codes there are. So the attempt is counted in the
// record store before check runs: many attempts at the same time are no more than one
// after the other. There is one count for each account and feature, whatever the browser
// and the address. After 5 wrong attempts in a row, none is looked at for 30 seconds;
// each further one doubles that, to an hour at most. After 100, none is looked at until
// an administrator calls Unlock (NIST SP 800-63B-4, section 3.2.2). Wrong attempts also
// count for Config.Limits.Guesses.
//
// If check returns true, the count begins again at zero. If it returns an error, nothing
// was found out, and the attempt is taken off the count. Count returns ErrLocked if the
// attempt must not be looked at: then check does not run. It also returns ErrBusy, a
// RateLimitError, or a failure of the store, and then false.
//
// In one process, the attempts at an account run one after the other. So check must not
// call Count for the same user.
func (f *Feature) Count(ctx context.Context, userID string, check func() (bool, error)) (bool, error) {
	if userID == "" {
		return false, ErrUserNotFound
	}
	g := &guess{
		core: f.core, ctx: ctx, kind: kindFeatureAttempts, key: f.counterKey(userID),
		userID: userID, final: true,
	}
	if err := g.begin(); err != nil {
		return false, err
	}
	defer g.leave() // also if check panics: the attempt then counts
	if g.err != nil {
		return false, ErrLocked
	}
	switch right, err := check(); {
	case err != nil:
		g.void()
		return false, err
	case right:
		err = g.right()
		return err == nil, err
	}
	f.wrong(g)
	return false, nil
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

// wrong tells of a wrong attempt after which the next one must wait. The owner is told of
// the last one, after which none is looked at any more.
func (f *Feature) wrong(g *guess) {
	g.leave()
	e := Event{Kind: EventSecretLocked, UserID: g.userID, Method: f.name, Err: ErrLocked}
	if g.count >= maxAttempts {
		e.Kind = EventSecretDisabled
	}
	if g.count >= freeAttempts {
		f.Event(g.ctx, e)
	}
	if g.count < maxAttempts || f.core.factors[f.name] != f {
		return
	}
	user, err := f.core.users.load(g.ctx, g.userID)
	if err != nil {
		f.Event(g.ctx, Event{Kind: EventMailFailed, UserID: g.userID, Err: err})
		return
	}
	f.core.tell(g.ctx, Mail{Kind: MailFactorDisabled, To: user.AuthAccount().Email, User: user, Factor: f.name})
}

// forgetFeatures deletes what features have stored while CloseAccount deleted records and
// the account. Where accounts can be disabled, Insert has refused that.
func (c *Core) forgetFeatures(ctx context.Context, userID string) {
	if c.Keeps(FieldDisabled) {
		return
	}
	if err := c.records.DeleteRecords(ctx, kindFeature, userID); err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
	}
}
