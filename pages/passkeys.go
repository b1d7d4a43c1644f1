package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// A Passkey is one of the user's passkeys on the page "passkeys".
type Passkey struct {
	auth.Passkey
	RenameURL string
	Required  bool // Config.RequireFactor of package auth requires it: the user cannot remove it
}

// passkeysPage lists the user's passkeys. With ?add it adds one, and with ?rename it gives
// one another name.
func (p *Pages) passkeysPage() *page {
	t := &p.texts
	return &page{
		name: "passkeys", title: &t.PasskeysTitle,
		texts: []text{
			must(&t.PasskeysTitle, "Passkeys"),
			may(&t.PasskeysExplain, "A passkey logs you in by your finger, your face or a PIN, without a password. Nobody can guess it, and no other site can use it."),
			must(&t.PasskeysNone, "You have no passkeys yet."),
			must(&t.PasskeyAddTitle, "Add a passkey"),
			must(&t.PasskeyAddButton, "Add a passkey"),
			may(&t.PasskeyAddExplain, "Your browser will ask where to keep the passkey, and for your finger, your face or a PIN."),
			must(&t.PasskeyOfferTitle, "Log in without a password next time?"),
			must(&t.PasskeyOfferLater, "Not now"),
			must(&t.PasskeyRename, "Rename"),
			must(&t.PasskeyNewName, "Name"),
			must(&t.PasskeySynced, "Synced"),
			must(&t.PasskeyOneDevice, "On one device"),
			must(&t.PasskeySuspended, "This passkey was copied. It is not accepted any more. Remove it, and add a new one."),
			must(&t.PasskeyOtherSite, "This passkey is for the old address of the site. It does not work any more."),
			must(&t.PasskeyCreated, "Created"),
			must(&t.PasskeyLastUsed, "last used"),
			must(&t.PasskeyNotUsed, "not used yet"),
			must(&t.PasskeyExists, "This device already has a passkey for you."),
			must(&t.PasskeyNotAdded, "The passkey could not be added. Try again."),
			must(&t.PasskeyTooMany, "You have as many passkeys as an account can have. Remove one before you add another."),
			must(&t.PasskeyLast, "You could not log in any more. First set a password, or add another passkey."),
			may(&t.PasskeyAdded, "The passkey has been added."),
			may(&t.PasskeyFirst, "The passkey has been added. Other browsers have been logged out."),
			may(&t.PasskeyRenamed, "The passkey has been renamed."),
			may(&t.PasskeyRemoved, "The passkey has been removed. Other browsers have been logged out."),
			must(&t.DropPasswordTitle, "Log in without a password"),
			may(&t.DropPasswordExplain, "If you remove your password, only your passkeys log you in. Nobody can steal a password that you do not have."),
			must(&t.DropPasswordButton, "Remove password"),
			may(&t.PasswordDropped, "Your password has been removed. Other browsers have been logged out."),
		},
		path: "/account/passkeys", url: &p.urls.Passkeys, absent: p.passkeys == nil,
		stays: "take the PasskeyFactor out of Factors of auth.Config",
		who:   enrolling, own: true, fields: []string{"remove", "name", passkeyField, "next"}, flags: []string{"remove_password"},
		queries: []string{"add", "offer", "rename"},
		get:     p.showPasskeys, post: p.changePasskeys,
		sample: func(page *Page) {
			sampleFactors(page)
			page.Unverified, page.DropsPassword, page.KnownPasskeys = true, true, "{}"
			page.Passkeys = []Passkey{
				{RenameURL: "/", Passkey: auth.Passkey{ID: "1", Name: "text"}},
				{RenameURL: "/", Passkey: auth.Passkey{ID: "2", Name: "text", Synced: true, Suspended: true, OtherSite: true}, Required: true},
			}
		},
	}
}

// offeredCookie notes that a user was offered a passkey in this browser. For offeredFor, no
// other offer is made there. The cookie has nothing about the user.
const (
	offeredCookie = "passkey-offered"
	offeredFor    = 30 * 24 * time.Hour
)

// offers reports whether users are offered a passkey after a login with the password.
func (p *Pages) offers() bool { return p.passkeys != nil && !p.cfg.NoPasskeyOffer }

// offerPasskey leads a user who has just logged in with the password to the offer of a passkey,
// and then to where the answer leads. It does so if the script has found that the device can
// have a passkey, the user has none and may add one, and this browser was not offered one within
// offeredFor.
func (p *Pages) offerPasskey(q *request, a answer) answer {
	cookie := p.core.Cookie(offeredCookie)
	if _, err := q.Cookie(cookie.Name); err == nil || !p.offers() || !q.PostForm.Has("passkey_able") {
		return a
	}
	if page, _, _ := strings.Cut(a.to, "?"); page == p.urls.Passkeys {
		return a
	}
	user, err := p.core.FreshUser(q.Context())
	if err != nil {
		return a
	}
	if all, err := p.core.Passkeys(q.Context(), user); err != nil || len(all) > 0 {
		return a
	}
	cookie.Value, cookie.MaxAge = "1", int(offeredFor/time.Second)
	return answer{to: auth.ParseNext(a.to).AddTo(p.urls.Passkeys + "?offer=1"), cookies: []*http.Cookie{&cookie}}
}

// showOffer offers a passkey. The user can go on without one.
func (p *Pages) showOffer(q *request) answer {
	a := p.showAdd(q, "")
	if a.page != nil && a.page.Passkey != nil {
		a.page.Title, a.page.Offer = p.texts.PasskeyOfferTitle, cmp.Or(q.next().String(), p.cfg.Home)
	}
	return a
}

func (p *Pages) addURL() string { return p.urls.Passkeys + "?add=1" }

func (p *Pages) renameURL(id string) string {
	return p.urls.Passkeys + "?rename=" + url.QueryEscape(id)
}

// showPasskeys lists the passkeys, or shows the form that the URL asks for. A POST that
// another user's form has sent gets the list.
func (p *Pages) showPasskeys(q *request) answer {
	if q.Method != http.MethodPost {
		switch query := q.URL.Query(); {
		case query.Has("add"):
			return p.showAdd(q, "")
		case query.Has("offer"):
			return p.showOffer(q)
		case query.Has("rename"):
			return p.showRename(q)
		}
	}
	return p.listPasskeys(q)
}

func (p *Pages) listPasskeys(q *request) answer {
	all, err := p.core.Passkeys(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	a := p.withKnown(q, p.withFactors(q, p.draw(q, nil)))
	if a.page == nil {
		return a
	}
	required := slices.ContainsFunc(a.page.Factors, func(f Factor) bool { return f.Name == p.passkeys.Name() && f.Required })
	for _, passkey := range all {
		a.page.Passkeys = append(a.page.Passkeys, Passkey{passkey, p.renameURL(passkey.ID), required && len(all) == 1})
	}
	a.page.DropsPassword = works(all) && !hasNoPassword(q.user)
	a.page.Next = q.next().String()
	return a
}

// works reports whether one of the passkeys logs the user in.
func works(all []auth.Passkey) bool {
	return slices.ContainsFunc(all, func(p auth.Passkey) bool { return !p.Suspended && !p.OtherSite })
}

// showAdd asks for a new passkey, and says what is wrong with the last answer, if it was
// wrong.
func (p *Pages) showAdd(q *request, wrong string) answer {
	setup, err := p.core.BeginFactor(q.Context(), p.passkeys.Name())
	if err != nil {
		return p.passkeysChanged(q, "", err)
	}
	data, err := p.toJSON(setup.Prompt.Data)
	if err != nil {
		return answer{err: err}
	}
	a := p.withKnown(q, p.draw(q, nil))
	if a.page == nil {
		return a
	}
	a.page.Title = p.texts.PasskeyAddTitle
	a.page.Passkey = &PasskeyForm{
		Action: p.addURL(), Button: p.texts.PasskeyAddButton, Next: q.next().String(), Data: data, Alone: true,
	}
	if wrong != "" {
		a = warn(a, http.StatusUnprocessableEntity, "danger", wrong)
	}
	return a
}

// showRename asks for the name of a passkey.
func (p *Pages) showRename(q *request) answer {
	all, err := p.core.Passkeys(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	id := q.URL.Query().Get("rename")
	i := slices.IndexFunc(all, func(passkey auth.Passkey) bool { return passkey.ID == id })
	if i < 0 {
		return p.fail(http.StatusNotFound)
	}
	a := p.draw(q, newForm(p.renameURL(id), p.texts.PasskeyRename, url.Values{"name": {all[i].Name}},
		Field{Name: "name", Label: p.texts.PasskeyNewName, Type: "text", Autocomplete: "off"}))
	a.page.Title = p.texts.PasskeyRename
	return a
}

// changePasskeys adds, renames or removes a passkey, or removes the password.
func (p *Pages) changePasskeys(q *request) answer {
	query, t := q.URL.Query(), &p.texts
	switch remove := q.PostForm.Get("remove"); {
	case query.Has("add"):
		return p.addPasskey(q)
	case query.Has("rename"):
		return p.passkeysChanged(q, t.PasskeyRenamed, p.core.RenamePasskey(q.Context(), query.Get("rename"), q.PostForm.Get("name")))
	case remove != "":
		return p.passkeysChanged(q, t.PasskeyRemoved, p.core.RemovePasskey(q.Context(), remove))
	case q.PostForm.Has("remove_password"):
		return p.passkeysChanged(q, t.PasswordDropped, p.core.RemovePassword(q.Context()))
	}
	return p.fail(http.StatusBadRequest)
}

// addPasskey adds a passkey. A user without recovery codes goes on to get some.
func (p *Pages) addPasskey(q *request) answer {
	if q.PostForm.Get(passkeyField) == "" {
		return p.showAdd(q, p.texts.PasskeyNotAdded)
	}
	states, err := p.core.FactorsOf(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	err = p.core.EnrollFactor(q.Context(), p.passkeys.Name(), q.PostForm)
	if errors.Is(err, auth.ErrWrongFactor) {
		return p.showAdd(q, p.texts.PasskeyNotAdded)
	}
	text := p.texts.PasskeyAdded
	if !isOn(states) { // the account has a new Stamp
		text = p.texts.PasskeyFirst
	}
	a := p.passkeysChanged(q, text, err)
	if err != nil {
		return a
	}
	return p.toCodes(q, a, states)
}

// passkeysChanged answers a form that changes passkeys.
func (p *Pages) passkeysChanged(q *request, text string, err error) answer {
	switch {
	case err == nil:
		return say("success", text, p.urls.Passkeys)
	case errors.Is(err, auth.ErrNoFactor): // the user has no such passkey
		return p.fail(http.StatusNotFound)
	case errors.Is(err, auth.ErrLastWayIn):
		return p.passkeysRefused(q, "last-way-in", p.texts.PasskeyLast)
	case errors.Is(err, auth.ErrTooManyPasskeys):
		return p.passkeysRefused(q, "too-many-passkeys", p.texts.PasskeyTooMany)
	case errors.Is(err, auth.ErrUnverified):
		a := p.listPasskeys(q)
		if a.page != nil {
			a.page.Status, a.page.Unverified = http.StatusForbidden, true
		}
		return a
	}
	return answer{err: err}
}

// passkeysRefused lists the passkeys, and says why nothing was changed.
func (p *Pages) passkeysRefused(q *request, code, text string) answer {
	a := p.listPasskeys(q)
	if a.page == nil {
		return a
	}
	a.code = code
	return warn(a, http.StatusConflict, "warning", text)
}
