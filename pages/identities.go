package pages

import (
	"errors"
	"net/http"
	"slices"

	"github.com/go-login/auth"
)

// An Identity is one of the user's accounts at providers, on the page "identities".
type Identity struct {
	auth.Identity
	Label string // what users call the provider
}

// identitiesPage lists the user's accounts at providers, disconnects them, and has buttons
// that connect others.
func (p *Pages) identitiesPage() *page {
	t := &p.texts
	return &page{
		name: "identities", title: &t.IdentitiesTitle,
		texts: append(p.providerTexts(),
			must(&t.IdentitiesTitle, "Connected accounts"),
			may(&t.IdentitiesExplain, "A connected account at another site logs you in here, without a password."),
			must(&t.IdentitiesNone, "You have not connected any account yet."),
			must(&t.IdentityConnected, "Connected"),
			must(&t.IdentityLastUsed, "last used"),
			must(&t.IdentityNotUsed, "not used yet"),
			must(&t.IdentityUnusable, "You cannot log in with this account any more."),
			must(&t.IdentityDisconnect, "Disconnect"),
			must(&t.IdentityLast, "You could not log in any more. First set a password, or connect another account."),
			must(&t.IdentityUnverified, "Before you connect or disconnect an account, verify your email address."),
			may(&t.IdentityDisconnected, "The account has been disconnected. Other browsers have been logged out."),
		),
		path: "/account/identities", url: &p.urls.Identities, provided: true,
		who: users, own: true, fields: []string{"remove"},
		get: p.showIdentities, post: p.disconnect,
		sample: func(page *Page) {
			sampleProviders(page)
			page.Unverified = true
			page.Identities = []Identity{
				{Label: "text", Identity: auth.Identity{ID: "1", Provider: "text", Email: "text"}},
				{Label: "text", Identity: auth.Identity{ID: "2", Provider: "text", Unusable: true}},
			}
		},
	}
}

func (p *Pages) showIdentities(q *request) answer {
	all, err := p.core.Identities(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	a, providers := p.draw(q, nil), p.core.Providers()
	for _, i := range all {
		a.page.Identities = append(a.page.Identities, Identity{i, providerLabel(providers, i.Provider)})
	}
	others := slices.DeleteFunc(slices.Clone(providers), func(provider auth.Provider) bool {
		return slices.ContainsFunc(all, usableAt(provider.Name))
	})
	a.page.Providers = p.providerForms(q, others, toConnect)
	for i := range a.page.Providers {
		a.page.Providers[i].Next = p.urls.Identities
	}
	return a
}

// disconnect removes an identity of the user.
func (p *Pages) disconnect(q *request) answer {
	id := q.PostForm.Get("remove")
	if id == "" {
		return p.fail(http.StatusBadRequest)
	}
	err := p.core.RemoveIdentity(q.Context(), id)
	switch {
	case err == nil:
		return say("success", p.texts.IdentityDisconnected, p.urls.Identities)
	case errors.Is(err, auth.ErrIdentityNotFound):
		return p.fail(http.StatusNotFound)
	case errors.Is(err, auth.ErrLastWayIn):
		if a := p.showIdentities(q); a.page != nil {
			a.code = "last-way-in"
			return warn(a, http.StatusConflict, "warning", p.texts.IdentityLast)
		}
	case errors.Is(err, auth.ErrUnverified):
		if a := p.showIdentities(q); a.page != nil {
			a.page.Status, a.page.Unverified = http.StatusForbidden, true
			return a
		}
	}
	return answer{err: err}
}
