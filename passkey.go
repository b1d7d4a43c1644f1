package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-login/auth/internal/wire"
)

// PromptPasskey returns what a browser asks its user for, to log in by a passkey. The user
// types no name. If the browser is logged in already, the passkey must be one of its user,
// and the answer is for ConfirmByPasskey. An answer is accepted for 5 minutes, and once.
//
// What was asked is kept in a cookie and not in the store, so visitors cost nothing. The
// cookie has the last four prompts, because several pages may be open in one browser.
//
// PromptPasskey returns ErrNoFactor if no [PasskeyFactor] is in Config.Factors,
// ErrHeaderWritten, or a failure.
func (c *Core) PromptPasskey(ctx context.Context) (_ Prompt, failing error) {
	defer c.met(ctx, &failing)
	f, s, err := c.passkeys(ctx)
	if err != nil {
		return Prompt{}, err
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil && !errors.Is(err, ErrNotLoggedIn) {
		return Prompt{}, err
	}
	if err != nil {
		user = nil
	}
	prompt, private, err := f.Ask(ctx, user)
	switch {
	case err != nil:
		return Prompt{}, factorFailed(f, err)
	case len(private) > maxPromptPrivate:
		return Prompt{}, broken(fmt.Sprintf("auth: Ask of factor %s returned %d private bytes; at most %d are kept", f.Name(), len(private), maxPromptPrivate))
	}
	return prompt, s.keepPrompt(askedPasskey{userID: idOf(user), private: private, until: c.cfg.Now().Add(promptLifetime)})
}

// LoginByPasskey logs in the user whose passkey the browser has shown. answer is the form of
// the page that has run the script of PromptPasskey. A passkey proves its possession, and a
// PIN or a finger: so it stands for the password and the second factor together. The options
// are those of LoginUser.
//
// It returns ErrWrongFactor if the answer is wrong or too old, ErrUnknownPasskey, a
// RateLimitError after many wrong answers from the client's address, ErrNoFactor, or an
// error of LoginUser.
func (c *Core) LoginByPasskey(ctx context.Context, answer url.Values, options ...LoginOption) (_ User, failing error) {
	defer c.met(ctx, &failing)
	f, s, err := c.passkeys(ctx)
	if err != nil {
		return nil, err
	}
	defer s.emit()
	o, err := readOptions(options)
	if err != nil {
		return nil, err
	}
	user, id, err := c.identifyPasskey(ctx, f, s, "", answer)
	if err != nil {
		return nil, err
	}
	a := o.attempt(user, methods("").add(f.Name(), c.cfg.Now()), c.cfg.Now())
	a.passkey = id
	if err := s.enter(&a); err != nil {
		return nil, err
	}
	return user, nil
}

// ConfirmByPasskey makes the current login fresh, as ConfirmLogin does, by a passkey of its
// user. The errors are those of LoginByPasskey, and ErrNotLoggedIn.
func (c *Core) ConfirmByPasskey(ctx context.Context, answer url.Values) (failing error) {
	defer c.met(ctx, &failing)
	f, s, err := c.passkeys(ctx)
	if err != nil {
		return err
	}
	defer s.emit()
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return err
	}
	user, id, err := c.identifyPasskey(ctx, f, s, idOf(user), answer)
	if err != nil {
		return err
	}
	return s.confirm(ctx, &attempt{user: user, methods: methods("").add(f.Name(), c.cfg.Now()), passkey: id})
}

// passkeys returns the PasskeyFactor, and the request's state.
func (c *Core) passkeys(ctx context.Context) (PasskeyFactor, *state, error) {
	s := c.stateOf(ctx)
	if s == nil {
		return nil, nil, ErrNoSession
	}
	f := c.passkeyFactor()
	if f == nil {
		return nil, nil, ErrNoFactor
	}
	return f, s, nil
}

// identifyPasskey returns the user whose passkey the answer has shown, and its ID. If
// userID is not empty, the user must be that one. A wrong answer counts for the client's
// address.
func (c *Core) identifyPasskey(ctx context.Context, f PasskeyFactor, s *state, userID string, answer url.Values) (user User, passkey string, err error) {
	wrong := ErrWrongFactor
	ctx, end := c.cfg.Trace.begin(ctx, "factor", f.Name())
	result := errPanicked
	defer func() { end(result) }()
	_, err = c.countAddress(ctx, func() (bool, error) {
		var id string
		switch id, passkey, err = f.Identify(ctx, s.promptsOf(userID), answer); {
		case errors.Is(err, ErrWrongFactor):
			wrong = err
			return false, nil
		case err != nil:
			return false, factorFailed(f, err)
		case userID != "" && id != userID:
			return false, nil
		}
		user, err = c.users.load(ctx, id)
		if errors.Is(err, ErrUserNotFound) {
			user, err = nil, nil
		}
		return user != nil, err
	})
	if err == nil && user == nil {
		err = wrong
		s.note(Event{Kind: EventLoginFailed, UserID: userID, Method: f.Name(), Err: err})
	}
	if result = err; err != nil {
		return nil, "", err
	}
	return user, passkey, nil
}

// Passkeys returns the passkeys of a user, the oldest first.
func (c *Core) Passkeys(ctx context.Context, user User) (_ []Passkey, failing error) {
	defer c.met(ctx, &failing)
	f := c.passkeyFactor()
	switch {
	case isAbsent(user):
		return nil, ErrUserNotFound
	case f == nil:
		return nil, ErrNoFactor
	}
	all, err := f.Passkeys(ctx, idOf(user))
	if err != nil {
		return nil, factorFailed(f, err)
	}
	return all, nil
}

// KnownPasskeys returns what the script of the passkeys tells the browser on a page of the
// current user, as data for JSON. The browser then forgets passkeys that were removed, and
// shows the user's present name. The errors are ErrNoFactor, those of User, or a failure.
func (c *Core) KnownPasskeys(ctx context.Context) (_ any, failing error) {
	defer c.met(ctx, &failing)
	f := c.passkeyFactor()
	if f == nil {
		return nil, ErrNoFactor
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return nil, err
	}
	known, err := f.Known(ctx, user)
	if err != nil {
		return nil, factorFailed(f, err)
	}
	return known, nil
}

// RenamePasskey gives a passkey of the current user another name. A name has up to 64
// characters; control characters are left out. If it is empty, the passkey gets its first
// name again. The errors are those of RemovePasskey.
func (c *Core) RenamePasskey(ctx context.Context, id, name string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	f := c.passkeyFactor()
	if f == nil {
		return ErrNoFactor
	}
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return err
	}
	switch err := f.Rename(ctx, idOf(user), id, name); {
	case errors.Is(err, ErrNoFactor):
		return ErrNoFactor
	case err != nil:
		return factorFailed(f, err)
	}
	return nil
}

// RemovePasskey removes a passkey of the current user. If it was the last one, and the user
// has no other factor, it removes the recovery codes, too. The account gets a new Stamp, as
// with EnrollFactor. The owner gets a MailPasskeyRemoved.
//
// It returns ErrNotFresh, ErrNoFactor if the user has no such passkey, ErrForbidden if
// Config.RequireFactor requires a factor of the user and it is the last, ErrConflict if
// another change of the account came first, what User returns, or a failure. It returns
// ErrLastWayIn in two cases: the user could not log in any more, because there is no password,
// no identity and no other passkey that works; or the passkeys that are left do not work, so
// that a login would ask for a factor that the user cannot show.
func (c *Core) RemovePasskey(ctx context.Context, id string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planRemovePasskey(ctx, id)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planRemovePasskey plans what RemovePasskey changes.
func (c *Core) planRemovePasskey(ctx context.Context, id string) (*credentialChange, error) {
	f := c.passkeyFactor()
	x := &credentialChange{
		own: ownGoesOn, must: true, removes: true, done: EventFactorRemoved, failed: EventFactorRemoveFailed,
	}
	if f == nil {
		return x, ErrNoFactor
	}
	x.factor = f.Name()
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return x, err
	}
	x.of(user)
	all, err := f.Passkeys(ctx, x.userID)
	if err != nil {
		return x, factorFailed(f, err)
	}
	isIt := func(p Passkey) bool { return p.ID == id }
	i := slices.IndexFunc(all, isIt)
	if i < 0 {
		return x, ErrNoFactor
	}
	x.mail = Mail{Kind: MailPasskeyRemoved, Factor: f.Name(), Passkey: all[i].Name}
	if err := c.mayRemoveWay(ctx, user, way{passkey: id}); err != nil {
		return x, err
	}
	if err := c.mayRemoveAnswer(ctx, x.userID, f.Name(), all[i]); err != nil {
		return x, err
	}
	x.finish = func(ctx context.Context) error {
		if err := f.RemoveOne(ctx, x.userID, id); err != nil {
			return factorFailed(f, err)
		}
		return nil
	}
	if len(all) == 1 {
		if err := c.mayRemove(ctx, user, f.Name()); err != nil {
			return x, err
		}
		noted, err := c.enrolments(ctx, x.userID)
		if err != nil {
			return x, err
		}
		x.finish = func(ctx context.Context) error { return c.removeFactors(ctx, x.userID, noted, f.Name()) }
	}
	x.made = func(ctx context.Context) bool {
		all, err := f.Passkeys(ctx, x.userID)
		return err == nil && !slices.ContainsFunc(all, isIt)
	}
	return x, nil
}

// What PromptPasskey has asked a browser is sealed in a cookie: for each of the last four
// prompts
//
//	until   varint: Unix seconds; the prompt is void from then on
//	user    text (see internal/wire): the account that must answer; empty if any may
//	private text: what the factor has returned
const (
	promptLifetime   = 5 * time.Minute
	maxPrompts       = 4
	maxPromptPrivate = 64
)

// An askedPasskey is a prompt for a passkey.
type askedPasskey struct {
	userID  string
	private []byte
	until   time.Time
}

// keepPrompt adds a prompt to the browser's cookie.
func (s *state) keepPrompt(a askedPasskey) error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed {
		return ErrHeaderWritten
	}
	all := append(s.livePrompts(), a)
	var b []byte
	for _, a := range all[max(0, len(all)-maxPrompts):] {
		b = binary.AppendVarint(b, a.until.Unix())
		b = wire.AppendText(wire.AppendText(b, a.userID), a.private)
	}
	s.setCookie(s.core.cookies.passkey, s.core.secrets.Seal(purposePasskey, b, a.until), a.until)
	return nil
}

// promptsOf returns the private parts of the prompts that a user, or anybody, may answer.
func (s *state) promptsOf(userID string) (private [][]byte) {
	s.op.Lock()
	defer s.op.Unlock()
	for _, a := range s.livePrompts() {
		if a.userID == userID {
			private = append(private, a.private)
		}
	}
	return private
}

// livePrompts returns the prompts of the browser that are not void. The caller holds op.
func (s *state) livePrompts() (all []askedPasskey) {
	now := s.core.cfg.Now()
	text, _ := s.sent(s.core.cookies.passkey)
	if set, ok := s.setting(s.core.cookies.passkey); ok {
		text = set.value
	}
	data, _, ok := s.core.secrets.Open(purposePasskey, text, now)
	r := wire.NewReader(string(data))
	for ok && r.OK() && len(all) <= maxPrompts {
		a := askedPasskey{until: time.Unix(r.Varint(), 0), userID: r.Text(), private: []byte(r.Text())}
		if r.OK() && now.Before(a.until) {
			all = append(all, a)
		}
	}
	return all
}
