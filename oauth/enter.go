package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/turns"
)

// Why a user who has come back from a provider does not get what they went for.
var (
	errNotConnected = errors.New("oauth: no account is connected to this identity")
	errTaken        = errors.New("oauth: the identity is connected to another account")
	errOtherUser    = errors.New("oauth: another user or another identity has begun this")
	errTwice        = errors.New("oauth: two first logins of this user met; begin again")
)

const (
	lastUsedCookie = "provider" // package pages reads it
	lastUsedLasts  = 30 * 24 * time.Hour
	signUpLasts    = time.Minute // how long one process may take to create an account
)

// enter does what the user went to the provider for.
func (h *Handler) enter(ctx context.Context, w http.ResponseWriter, p *remote, t *transaction, v *visit) error {
	switch t.Purpose {
	case toLink:
		return h.link(ctx, p, t, v)
	case toConfirm:
		return h.confirm(ctx, p, t, v)
	}
	return h.login(ctx, w, p, t, v)
}

// login logs the user in.
func (h *Handler) login(ctx context.Context, w http.ResponseWriter, p *remote, t *transaction, v *visit) error {
	user, err := h.userOf(ctx, p, v)
	if err != nil {
		return err
	}
	id, userID := identityID(p.issuer(), v.Subject), user.AuthAccount().ID
	if err := h.note(ctx, p, v, userID); err != nil {
		return err
	}
	if err := h.noteSession(ctx, p, v, userID, t.Remember); err != nil {
		return err
	}
	// The identity may be disconnected meanwhile, perhaps because it is an attacker's.
	options := []auth.LoginOption{auth.By(p.method()), auth.ByIdentity(id), auth.Remember(t.Remember)}
	if p.trusts(v.factors) {
		options = append(options, auth.MultifactorAt(p.Name))
	}
	err = h.core.LoginUser(ctx, user, options...)
	if err == nil || errors.Is(err, auth.ErrFactorRequired) {
		c := h.core.Cookie(lastUsedCookie)
		c.Value, c.MaxAge = p.Name, int(lastUsedLasts/time.Second)
		http.SetCookie(w, &c)
	}
	if errors.Is(err, auth.ErrIdentityNotFound) {
		err = errNotConnected
	}
	if err != nil {
		return err
	}
	if err := h.addLogin(ctx, p, v); err != nil {
		return errors.Join(err, h.core.LogoutUser(ctx))
	}
	return nil
}

// note notes that an identity was used, and keeps the tokens.
func (h *Handler) note(ctx context.Context, p *remote, v *visit, userID string) error {
	err := h.used(ctx, p, v)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return errNotConnected // it was disconnected just now
	}
	if err == nil && p.KeepTokens {
		err = h.keepTokens(ctx, userID, identityID(p.issuer(), v.Subject), v.tokens)
	}
	return err
}

// userOf returns the user to whom an identity belongs. If there is none, the identity may be
// connected to an account now, or get one.
func (h *Handler) userOf(ctx context.Context, p *remote, v *visit) (auth.User, error) {
	id := identityID(p.issuer(), v.Subject)
	user, err := h.userWith(ctx, p, id)
	if err != nil || user != nil {
		return user, err
	}
	leave, err := h.turns.Take(ctx, id)
	if errors.Is(err, turns.ErrBusy) {
		return nil, auth.ErrBusy
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	user, err = h.userWith(ctx, p, id) // another first login may have been quicker
	if err != nil || user != nil {
		return user, err
	}
	proved := p.TrustEmail && v.EmailVerified
	if proved {
		user, err := h.feature.UserByEmail(ctx, v.Email)
		switch {
		case err == nil && !user.AuthAccount().EmailVerified: // somebody else may have registered the address
			return nil, errNotConnected
		case err == nil:
			return user, h.connectNew(ctx, user, p, v, false)
		case !errors.Is(err, auth.ErrUserNotFound):
			return nil, err
		}
	}
	if !p.SignUp || h.core.Config().HideAccounts && !proved { // an account or none would tell whether the address is taken
		return nil, errNotConnected
	}
	return h.signUp(ctx, p, v, proved)
}

// connectNew connects an identity that nobody has. If another process was quicker, the user
// begins again.
func (h *Handler) connectNew(ctx context.Context, user auth.User, p *remote, v *visit, unproved bool) error {
	err := h.connect(ctx, user, p, v, unproved)
	if errors.Is(err, auth.ErrRecordExists) {
		return errTwice
	}
	return err
}

// signUp creates an account. proved says that the provider has proved the address, and is
// trusted with it.
func (h *Handler) signUp(ctx context.Context, p *remote, v *visit, proved bool) (user auth.User, err error) {
	id := identityID(p.issuer(), v.Subject)
	r := auth.Registration{}
	if h.core.Keeps(auth.FieldEmail) {
		r.Email = v.Email
	}
	if p.Registration != nil {
		if r, err = p.Registration(ctx, v.Profile); err != nil {
			return nil, err
		}
	}
	r.NoPassword, r.EmailVerified = true, proved && sameAddress(r.Email, v.Email)
	if h.core.Config().HideAccounts && !r.EmailVerified { // Register would not say which account it has created
		return nil, errNotConnected
	}
	const claim = "sign-up/"
	err = h.feature.Insert(ctx, auth.Record{Key: claim + id, Expires: h.feature.Now().Add(signUpLasts)})
	if errors.Is(err, auth.ErrRecordExists) {
		return nil, errTwice
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := h.take(context.WithoutCancel(ctx), claim+id); failed != nil {
			h.feature.Event(ctx, auth.Event{Kind: auth.EventCleanupFailed, Method: p.method(), Err: failed}) // it expires
		}
	}()
	if user, err := h.userWith(ctx, p, id); err != nil || user != nil { // another process was quicker
		return user, err
	}
	user, err = h.core.Register(ctx, r)
	switch {
	case errors.Is(err, auth.ErrEmailTaken), errors.Is(err, auth.ErrCheckMail):
		return nil, errNotConnected
	case errors.Is(err, auth.ErrInvalidEmail), errors.Is(err, auth.ErrInvalidUsername), errors.Is(err, auth.ErrUsernameTaken):
		return nil, fmt.Errorf("%w: no account could be created: %w", ErrRefused, err)
	case err != nil:
		return nil, err
	}
	a := user.AuthAccount()
	return user, h.connectNew(ctx, user, p, v, a.Email != "" && !a.EmailVerified)
}

// sameAddress reports whether two texts are the same address, perhaps written in different ways.
func sameAddress(a, b string) bool {
	one, err := auth.EmailKey(strings.TrimSpace(a))
	other, failed := auth.EmailKey(strings.TrimSpace(b))
	return a == b || err == nil && failed == nil && one == other
}

// link connects an identity to the current user.
func (h *Handler) link(ctx context.Context, p *remote, t *transaction, v *visit) error {
	user, err := h.core.FreshUser(ctx)
	if err != nil {
		return err
	}
	if !t.isOf(user) {
		return errOtherUser
	}
	userID := user.AuthAccount().ID
	owner, err := h.userWith(ctx, p, identityID(p.issuer(), v.Subject))
	switch {
	case err != nil:
		return err
	case owner == nil:
		err = h.connect(ctx, user, p, v, false)
		if errors.Is(err, auth.ErrRecordExists) {
			return errTaken
		}
	case owner.AuthAccount().ID != userID:
		return errTaken
	}
	if err != nil || !p.KeepTokens {
		return err
	}
	return h.keepTokens(ctx, userID, identityID(p.issuer(), v.Subject), v.tokens)
}

// confirm makes the current login fresh.
func (h *Handler) confirm(ctx context.Context, p *remote, t *transaction, v *visit) error {
	user, err := h.core.EnrollingUser(ctx)
	if err != nil {
		return err
	}
	id := identityID(p.issuer(), v.Subject)
	owner, err := h.owner(ctx, id)
	switch {
	case err != nil:
		return err
	case !t.isOf(user) || owner != user.AuthAccount().ID:
		return errOtherUser
	}
	options := []auth.LoginOption{auth.By(p.method()), auth.ByIdentity(id)}
	if p.trusts(v.factors) {
		options = append(options, auth.MultifactorAt(p.Name))
	}
	err = h.core.ConfirmLogin(ctx, options...)
	if errors.Is(err, auth.ErrIdentityNotFound) {
		err = errOtherUser
	}
	return err
}

// isOf reports whether the transaction was begun by this user, whose credentials have not
// changed since.
func (t *transaction) isOf(user auth.User) bool {
	a := user.AuthAccount()
	return t.UserID != "" && strings.Compare(a.ID, t.UserID) == 0 && a.Stamp.Equal(auth.NewSecret(t.Stamp))
}
