package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// An identity is what is stored about a user's account at a provider. The record's key has a
// hash of the issuer and the subject; no two accounts here can have the same.
type identity struct {
	Issuer   string
	Provider string // its Name, when the identity was last used
	Email    string
	Created  time.Time
	LastUsed time.Time
	Unproved bool // see auth.Identity
}

// identityID returns the ID of the identity of a user at a provider. It is never made from an
// address or a name.
func identityID(issuer, subject string) string {
	sum := sha256.Sum256([]byte(issuer + "\x00" + subject))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const (
	identityPrefix = "identity/"
	maxIdentities  = 20 // of one account, with those at providers that are not configured any more
)

var errTooMany = fmt.Errorf("oauth: the user has connected %d accounts; disconnect one before connecting another", maxIdentities)

// owner returns the ID of the user who has an identity, or "".
func (h *Handler) owner(ctx context.Context, id string) (string, error) {
	r, err := h.feature.Get(ctx, identityPrefix+id)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return "", nil
	}
	return r.UserID, err
}

// userWith returns the user who has an identity, or nil. If the application has deleted that user
// by itself, without CloseAccount, the identity is free again.
func (h *Handler) userWith(ctx context.Context, p *remote, id string) (auth.User, error) {
	for range 3 {
		userID, err := h.owner(ctx, id)
		if err != nil || userID == "" {
			return nil, err
		}
		user, err := h.feature.User(ctx, userID)
		if !errors.Is(err, auth.ErrUserNotFound) {
			return user, err
		}
		if err := h.free(ctx, p, id, userID); err != nil {
			return nil, err
		}
	}
	return nil, errTwice
}

// free deletes an identity of a deleted user, and its tokens. If another request has freed it
// meanwhile, and given it to another user, that user keeps it: the records are made to expire by
// compare-and-set.
func (h *Handler) free(ctx context.Context, p *remote, id, userID string) error {
	freed := false
	for _, key := range []string{tokensPrefix + id, identityPrefix + id} {
		err := h.feature.Change(ctx, key, func(r *auth.Record) error {
			if r.UserID != userID {
				return errTaken
			}
			r.Data, r.Expires = nil, h.feature.Now().Add(-24*time.Hour)
			return nil
		})
		if err != nil && !errors.Is(err, errTaken) && !errors.Is(err, auth.ErrRecordNotFound) {
			return err
		}
		freed = err == nil
	}
	if freed {
		h.feature.Event(ctx, auth.Event{Kind: auth.EventIdentityRemoved, UserID: userID, Method: p.Name})
	}
	return nil
}

// connect stores an identity of a user. If another account has the identity, it returns
// auth.ErrRecordExists. If the user has maxIdentities already, it returns errTooMany.
func (h *Handler) connect(ctx context.Context, user auth.User, p *remote, v *visit, unproved bool) error {
	id, userID, now := identityID(p.issuer(), v.Subject), user.AuthAccount().ID, h.feature.Now()
	data, err := json.Marshal(identity{Issuer: p.issuer(), Provider: p.Name, Email: v.Email, Created: now, Unproved: unproved})
	if err != nil {
		return err
	}
	all, err := h.Identities(ctx, userID)
	if err == nil && len(all) >= maxIdentities {
		err = errTooMany
	}
	if err != nil {
		return err
	}
	save := func(ctx context.Context) error {
		if err := h.feature.Insert(ctx, auth.Record{Key: identityPrefix + id, UserID: userID, Data: data}); err != nil {
			return err
		}
		all, err := h.Identities(ctx, userID) // with those that other requests have connected meanwhile
		if err == nil && len(all) > maxIdentities {
			err = errTooMany
		}
		if err != nil {
			return errors.Join(err, h.take(context.WithoutCancel(ctx), identityPrefix+id))
		}
		return nil
	}
	undo := func(ctx context.Context) error { return h.Forget(ctx, userID, id) }
	return h.feature.AddIdentity(ctx, user, auth.Identity{ID: id, Provider: p.Name}, save, undo)
}

// used notes that an identity was used.
func (h *Handler) used(ctx context.Context, p *remote, v *visit) error {
	err := h.feature.Change(ctx, identityPrefix+identityID(p.issuer(), v.Subject), func(r *auth.Record) error {
		var i identity
		if err := json.Unmarshal(r.Data, &i); err != nil {
			return errDamaged
		}
		i.Provider, i.LastUsed = p.Name, h.feature.Now()
		if v.Email != "" {
			i.Email = v.Email
		}
		data, err := json.Marshal(i)
		r.Data = data
		return err
	})
	return err
}

var errDamaged = errors.New("oauth: the record of an identity was changed by somebody; delete it, and the user can connect the identity again")

// Providers implements auth.Identities.
func (h *Handler) Providers() []auth.Provider {
	var all []auth.Provider
	for _, p := range h.remotes {
		all = append(all, p.shown(h.core.BasePath()))
	}
	return all
}

// Identities implements auth.Identities.
func (h *Handler) Identities(ctx context.Context, userID string) ([]auth.Identity, error) {
	records, err := h.feature.List(ctx, userID)
	if err != nil {
		return nil, err
	}
	var all []auth.Identity
	for _, r := range records {
		id, ok := strings.CutPrefix(r.Key, identityPrefix)
		if !ok {
			continue
		}
		var i identity
		damaged := json.Unmarshal(r.Data, &i) != nil
		shown := auth.Identity{
			ID: id, Provider: i.Provider, Email: i.Email, Created: i.Created, LastUsed: i.LastUsed,
			Unusable: true, Unproved: i.Unproved || damaged,
		}
		if p := h.byIssuer(i.Issuer); p != nil && !damaged {
			shown.Provider, shown.Unusable = p.Name, false
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b auth.Identity) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, nil
}

// Forget implements auth.Identities. It revokes the tokens that are kept, if the provider
// answers.
func (h *Handler) Forget(ctx context.Context, userID, id string) error {
	i, owner, err := h.identity(ctx, id)
	switch {
	case errors.Is(err, auth.ErrRecordNotFound):
		return nil
	case err != nil && !errors.Is(err, errDamaged):
		return err
	case owner != userID:
		return nil
	}
	if err := h.take(ctx, identityPrefix+id); err != nil {
		return err
	}
	return h.forgetTokens(ctx, h.byIssuer(i.Issuer), userID, id)
}

// identity returns an identity, and the ID of the user who has it.
func (h *Handler) identity(ctx context.Context, id string) (i identity, userID string, err error) {
	r, err := h.feature.Get(ctx, identityPrefix+id)
	if err == nil && json.Unmarshal(r.Data, &i) != nil {
		err = errDamaged
	}
	return i, r.UserID, err
}

// take deletes a record, if it is there.
func (h *Handler) take(ctx context.Context, key string) error {
	_, err := h.feature.Take(ctx, key)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil
	}
	return err
}

// byIssuer returns the provider whose identities are kept by this issuer, or nil.
func (h *Handler) byIssuer(issuer string) *remote {
	for _, p := range h.remotes {
		if p.issuer() == issuer {
			return p
		}
	}
	return nil
}

// byName returns the provider with this Name, or nil.
func (h *Handler) byName(name string) *remote {
	for _, p := range h.remotes {
		if p.Name == name {
			return p
		}
	}
	return nil
}
