package pages

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-login/auth"
)

// fewCodes is the number of recovery codes at which the pages begin to warn.
const fewCodes = 3

// A Factor is one of the second factors on a page.
type Factor struct {
	auth.FactorState
	Label string // what users call it, such as Texts.TOTPName
	URL   string // on the page "factor": where to use this one instead; on "twofactor": its own page, or empty
}

// A Setup is what a user needs to set up a factor. Each field may be empty.
type Setup struct {
	Secret string        // the key, in groups of four characters
	URL    template.URL  // a link that opens an app on the same device
	SVG    template.HTML // a picture to scan: an <svg> element
}

func (p *Pages) twoFactorPage() *page {
	t := &p.texts
	return &page{
		name: "twofactor", title: &t.TwoFactorTitle,
		texts: []text{
			must(&t.TwoFactorTitle, "Two-factor login"),
			may(&t.TwoFactorExplain, "With a second factor, nobody can log in to your account by its password alone."),
			must(&t.FactorOn, "On"),
			must(&t.FactorOff, "Off"),
			must(&t.FactorLocked, "There were too many wrong codes. No code is accepted any more until you allow it again."),
			must(&t.TwoFactorUnverified, "Before you set up a second factor, verify your email address."),
			must(&t.SetupButton, "Set up"),
			must(&t.RemoveButton, "Remove"),
			must(&t.UnlockButton, "Accept codes again"),
			must(&t.SetupTitle, "Set up: {factor}"),
			may(&t.SetupExplain, "Scan the picture with the app, or type the key into it. Then enter the code that the app shows."),
			must(&t.SetupPicture, "QR code"),
			must(&t.SetupSecret, "Key"),
			must(&t.SetupLink, "Open the app on this device"),
			must(&t.EnrollButton, "Turn on"),
			must(&t.TrustedBrowsers, "Browsers that are not asked for a code: {left}."),
			may(&t.FactorAdded, "The second factor is set up. Other browsers have been logged out."),
			may(&t.FactorRemoved, "The second factor has been removed. Other browsers have been logged out."),
			may(&t.FactorUnlocked, "Codes are accepted again."),
		},
		path: "/account/two-factor", url: &p.urls.TwoFactor, absent: len(p.auth.Factors) == 0,
		setting: &setting{"TwoFactor", p.auth.URLs.TwoFactor, "the page for second factors", false},
		who:     enrolling, own: true, fields: []string{"remove", "unlock", "next"}, open: factorsField,
		queries: []string{"set-up"},
		get:     p.showTwoFactor, post: p.changeTwoFactor,
		sample: func(page *Page) {
			sampleFactors(page)
			page.Unverified, page.Trusted = true, []auth.TrustedBrowser{{ID: "1"}}
			page.Setup = &Setup{Secret: "text", URL: "otpauth://totp/text", SVG: "<svg></svg>"}
			page.Form = newForm("/", "text", nil, Field{Name: "code", Label: "text", Type: "text", Code: true})
		},
	}
}

// sampleFactors has New try a template with one factor of each kind.
func sampleFactors(page *Page) {
	page.TwoFactor = true
	page.Factors = []Factor{
		{FactorState: auth.FactorState{Name: "totp", Enrolls: true}, Label: "text"},
		{FactorState: auth.FactorState{Name: "passkey", Enrolls: true, Enrolled: true}, Label: "text", URL: "/"},
		{FactorState: auth.FactorState{Name: "sms", Enrolls: true, Enrolled: true, Disabled: true}, Label: "text"},
		{FactorState: auth.FactorState{Name: "recovery-code", Recovery: true, Enrolled: true, Left: 1}, Label: "text"},
	}
}

// withFactors adds to a page what the user has of each factor.
func (p *Pages) withFactors(q *request, a answer) answer {
	if len(p.auth.Factors) == 0 {
		return a
	}
	states, err := p.core.FactorsOf(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	a.page.TwoFactor = isOn(states)
	for _, state := range states {
		f := Factor{FactorState: state, Label: p.factorName(state.Name)}
		if p.passkeys != nil && state.Name == p.passkeys.Name() {
			f.Label, f.URL = p.texts.PasskeysTitle, q.next().AddTo(p.urls.Passkeys)
		}
		a.page.Factors = append(a.page.Factors, f)
	}
	return a
}

// isOn reports whether a login asks for a second factor.
func isOn(states []auth.FactorState) bool {
	return slices.ContainsFunc(states, func(s auth.FactorState) bool { return s.Enrolled && !s.Recovery })
}

// CodesWarning returns a text if the user has few recovery codes left, or none. Otherwise
// it is empty.
func (p Page) CodesWarning() string {
	i := slices.IndexFunc(p.Factors, func(f Factor) bool { return f.Recovery })
	switch {
	case !p.TwoFactor || i < 0 || p.Factors[i].Left > fewCodes:
		return ""
	case p.Factors[i].Left == 0:
		return p.Texts.CodesNone
	}
	return p.Counted(p.Texts.CodesFew, p.Factors[i].Left)
}

// Counted returns a text with a number in place of {left}.
func (p Page) Counted(text string, left int) string { return counted(text, left) }

func counted(text string, left int) string {
	return strings.ReplaceAll(text, "{left}", strconv.Itoa(left))
}

// showTwoFactor lists the factors. If the URL names one to set up, it shows how. A POST that
// another user's form has sent gets the list.
func (p *Pages) showTwoFactor(q *request) answer {
	if query := q.URL.Query(); query.Has("set-up") && q.Method != http.MethodPost {
		return p.showSetup(q, query.Get("set-up"), "")
	}
	a := p.withFactors(q, p.draw(q, nil))
	if a.page != nil {
		a.page.Next = q.next().String()
	}
	return p.withTrusted(q, a)
}

// showSetup shows what the user needs to set up a factor, and says what is wrong with the
// last answer, if it was wrong.
func (p *Pages) showSetup(q *request, factor, wrong string) answer {
	states, err := p.core.FactorsOf(q.Context(), q.user)
	switch {
	case err != nil:
		return answer{err: err}
	case p.passkeys != nil && factor == p.passkeys.Name(): // it has a page of its own
		return answer{to: q.next().AddTo(p.urls.Passkeys)}
	case !canSetUp(states, factor):
		return p.fail(http.StatusNotFound)
	}
	setup, err := p.core.BeginFactor(q.Context(), factor)
	if err != nil {
		return p.factorChanged(q, "", err)
	}
	f := newForm(q.next().AddTo(p.setupURL(factor)), p.texts.EnrollButton, nil, p.factorFields(factor, setup.Prompt)...)
	if wrong != "" {
		f.refuse(setup.Prompt.Field, wrong)
	}
	a := p.draw(q, f)
	a.page.Title = strings.ReplaceAll(p.texts.SetupTitle, "{factor}", p.factorName(factor))
	a.page.Setup = &Setup{
		Secret: inFours(setup.Secret.Reveal()),
		URL:    template.URL(setup.URL.Reveal()),  //nolint:gosec // the factor has made it, and no user
		SVG:    template.HTML(setup.SVG.Reveal()), //nolint:gosec // likewise
	}
	return a
}

// canSetUp reports whether the user can set up this factor, and does not have it.
func canSetUp(states []auth.FactorState, factor string) bool {
	return slices.ContainsFunc(states, func(s auth.FactorState) bool { return s.Name == factor && s.Enrolls && !s.Enrolled })
}

func (p *Pages) setupURL(factor string) string {
	return p.urls.TwoFactor + "?set-up=" + url.QueryEscape(factor)
}

// inFours returns a key in groups of four characters, for a user who types it.
func inFours(key string) string {
	var groups []string
	for part := range slices.Chunk([]rune(strings.Join(strings.Fields(key), "")), 4) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, " ")
}

// changeTwoFactor sets up, removes or unlocks a factor.
func (p *Pages) changeTwoFactor(q *request) answer {
	query, remove, unlock := q.URL.Query(), q.PostForm.Get("remove"), q.PostForm.Get("unlock")
	switch {
	case query.Has("set-up"):
		return p.enroll(q, query.Get("set-up"))
	case remove != "":
		return p.factorChanged(q, p.texts.FactorRemoved, p.core.RemoveFactor(q.Context(), remove))
	case unlock != "":
		return p.factorChanged(q, p.texts.FactorUnlocked, p.core.UnlockFactor(q.Context(), unlock))
	}
	return p.fail(http.StatusBadRequest)
}

// enroll sets up a factor. A user without recovery codes goes on to get some.
func (p *Pages) enroll(q *request, factor string) answer {
	states, err := p.core.FactorsOf(q.Context(), q.user)
	switch {
	case err != nil:
		return answer{err: err}
	case p.passkeys != nil && factor == p.passkeys.Name(), !canSetUp(states, factor): // the form was sent twice, perhaps
		return answer{to: p.urls.TwoFactor, why: auth.ErrNoFactor}
	case isBlank(q.PostForm):
		return p.showSetup(q, factor, p.texts.Required)
	}
	err = p.core.EnrollFactor(q.Context(), factor, q.PostForm)
	if errors.Is(err, auth.ErrWrongFactor) || errors.Is(err, auth.ErrLocked) {
		return later(p.showSetup(q, factor, p.factorWrong(factor)), err)
	}
	a := p.factorChanged(q, p.texts.FactorAdded, err)
	if err != nil {
		return a
	}
	return p.toCodes(q, a, states)
}

// toCodes leads to the page that the user wanted, by way of the recovery codes if the user
// has none. states are those before the factor was added.
func (p *Pages) toCodes(q *request, a answer, states []auth.FactorState) answer {
	a.to = cmp.Or(q.next().String(), a.to)
	if slices.ContainsFunc(states, func(s auth.FactorState) bool { return s.Recovery && s.Left == 0 }) {
		a.to = q.next().AddTo(p.urls.RecoveryCodes)
	}
	return a
}

// factorChanged answers a form that changes a factor.
func (p *Pages) factorChanged(q *request, text string, err error) answer {
	switch {
	case err == nil:
		return say("success", text, p.urls.TwoFactor)
	case errors.Is(err, auth.ErrNoFactor): // it has been removed meanwhile
		return answer{to: p.urls.TwoFactor, why: err}
	case errors.Is(err, auth.ErrLastWayIn):
		a := say("warning", p.texts.PasskeyLast, p.urls.Passkeys)
		a.why = err
		return a
	case errors.Is(err, auth.ErrUnverified):
		a := p.withFactors(q, p.draw(q, nil))
		if a.page != nil {
			a.page.Status, a.page.Unverified = http.StatusForbidden, true
		}
		return a
	}
	return answer{err: err}
}
