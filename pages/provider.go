package pages

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// A ProviderForm is a form that leads to a provider, such as Google. The template
// providers.html shows it.
type ProviderForm struct {
	Action   string // the URL to post it to: Start of auth.Provider
	Button   string // the button's text
	Purpose  string // value of the hidden field purpose, or empty for a login
	Next     string // value of the hidden field next, or empty
	LastUsed bool   // it was used last in this browser
	Remember string // the label of the box remember_me of the page's other form, which is for this one, too; or empty
}

// The values of the field purpose. A form without the field logs in.
const (
	toLogin   = ""
	toConfirm = "confirm"
	toConnect = "link"
)

// providerCookie keeps the Name of the provider that was used last in this browser. See
// Core.Cookie of package auth.
const providerCookie = "provider"

// providerTexts are the texts of the template providers.html.
func (p *Pages) providerTexts() []text {
	t := &p.texts
	return []text{
		must(&t.ProviderLogin, "Continue with {provider}"),
		must(&t.ProviderConfirm, "Confirm with {provider}"),
		must(&t.ProviderConnect, "Connect {provider}"),
		may(&t.ProviderLastUsed, "Used last"),
	}
}

// providerForms returns the forms that lead to these providers. The providers are asked for
// at each request, because package oauth may be set up after the pages.
func (p *Pages) providerForms(q *request, all []auth.Provider, purpose string) []ProviderForm {
	button := map[string]string{
		toLogin: p.texts.ProviderLogin, toConfirm: p.texts.ProviderConfirm, toConnect: p.texts.ProviderConnect,
	}[purpose]
	var last string
	if cookie, err := q.Cookie(p.core.Cookie(providerCookie).Name); err == nil && purpose == toLogin {
		last = cookie.Value
	}
	var forms []ProviderForm
	for _, provider := range all {
		forms = append(forms, ProviderForm{
			Action: provider.Start, Button: ofProvider(button, provider.Label), Purpose: purpose,
			Next: q.next().String(), LastUsed: provider.Name == last,
		})
	}
	return forms
}

// withProviders adds to a page for visitors the buttons that log in at a provider.
func (p *Pages) withProviders(q *request, a answer) answer {
	if a.page != nil {
		a.page.Providers = p.providerForms(q, p.core.Providers(), toLogin)
	}
	return a
}

// rememberAtProviders has the box of the login form count for the buttons of providers, too. That
// takes a script. Without scripts, each button has a box of its own.
func (p *Pages) rememberAtProviders(a answer) answer {
	if a.page != nil && len(a.page.Providers) > 0 {
		for i := range a.page.Providers {
			a.page.Providers[i].Remember = p.rememberMe()
		}
	}
	return a
}

// confirmers returns the providers at which the user can confirm a login: those that can tell
// when the user has shown who they are, and that the user is connected to.
func (p *Pages) confirmers(q *request) ([]auth.Provider, error) {
	all, err := p.core.Identities(q.Context(), q.user)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(p.core.Providers()), func(provider auth.Provider) bool {
		return !provider.Confirms || !slices.ContainsFunc(all, usableAt(provider.Name))
	}), nil
}

// usableAt returns a function that reports whether an identity is one at this provider, with
// which the user can log in.
func usableAt(provider string) func(auth.Identity) bool {
	return func(i auth.Identity) bool { return i.Provider == provider && !i.Unusable }
}

// providerLabel returns what users call a provider. One that is not configured any more has
// only its Name.
func providerLabel(all []auth.Provider, name string) string {
	i := slices.IndexFunc(all, func(provider auth.Provider) bool { return provider.Name == name })
	if i < 0 {
		return name
	}
	return cmp.Or(all[i].Label, name)
}

// ofProvider returns a text with the provider's label in place of {provider}.
func ofProvider(text, label string) string { return strings.ReplaceAll(text, "{provider}", label) }

// sampleProviders adds buttons to the sample page.
func sampleProviders(page *Page) {
	page.Providers = []ProviderForm{
		{Action: "/", Button: "text"},
		{Action: "/", Button: "text", Purpose: toConfirm, Next: "/", LastUsed: true, Remember: "text"},
	}
}
