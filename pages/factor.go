package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// factorPage is for a browser in which a login, or the confirmation of a login, waits
// for a second factor.
func (p *Pages) factorPage() *page {
	t := &p.texts
	return &page{
		name: "factor", title: &t.FactorTitle,
		texts: []text{
			must(&t.FactorTitle, "Confirm that it is you"),
			must(&t.FactorButton, "Continue"),
			must(&t.CancelButton, "Cancel"),
			must(&t.TOTPName, "Authenticator app"),
			must(&t.RecoveryName, "Recovery codes"),
			must(&t.TOTPCode, "Code from your authenticator app"),
			must(&t.RecoveryCode, "Recovery code"),
			must(&t.FactorCode, "Code"),
			must(&t.FactorExplain, "To go on as {user}, confirm once more that it is you."),
			must(&t.TrustBrowser, "Do not ask in this browser for {left} days"),
			must(&t.OtherFactors, "Try another way"),
			must(&t.FactorLost, "This site cannot ask for your second factor at the moment, so you cannot log in. Please ask its operators for help."),
			must(&t.FactorWrong, "That code was wrong or has been used. Wait for the next one."),
			must(&t.RecoveryWrong, "That recovery code was wrong or has been used. Use another one."),
			may(&t.LoginAgain, "That took too long, or there were too many wrong tries. Please log in again."),
			may(&t.RefreshAgain, "That took too long, or there were too many wrong tries. Please confirm your password again."),
			may(&t.LoginCancelled, "The login has been cancelled."),
		},
		path: "/login/verify", url: &p.urls.Factor, absent: len(p.auth.Factors) == 0,
		setting: &setting{"Factor", p.auth.URLs.Factor, "the page that asks for a second factor", false},
		who:     anybody, own: true, once: true, pending: true, fields: []string{"next"}, flags: []string{"trust_browser"}, open: factorsField,
		queries: []string{"with"},
		form:    p.factorForm, get: p.showFactor, post: p.useFactor,
		sample: func(page *Page) {
			page.Factors = []Factor{{FactorState: auth.FactorState{Name: "recovery-code"}, Label: "text", URL: "/"}}
		},
	}
}

// factorsField says which other field a form for a factor has.
const factorsField = "And the field that the factor asks for: see form of GET."

// factorForm asks for the factor of the request. Its Action says which one that is.
func (p *Pages) factorForm(q *request) *Form {
	f := newForm(p.factorURL(q.factor), p.texts.FactorButton, q.typed, p.factorFields(q.factor, q.prompt)...)
	f.Next = q.next().String()
	return f
}

// factorURL returns the URL of the page that asks for this factor.
func (p *Pages) factorURL(factor string) string {
	return p.urls.Factor + "?with=" + url.QueryEscape(factor)
}

// factorFields returns what a factor asks for: one field, or none.
func (p *Pages) factorFields(factor string, prompt auth.Prompt) []Field {
	if prompt.Field == "" {
		return nil
	}
	label := p.texts.FactorCode
	switch {
	case factor == totp:
		label = p.texts.TOTPCode
	case slices.Contains(p.recoveryFactors(), factor):
		label = p.texts.RecoveryCode
	}
	return []Field{{
		Name: prompt.Field, Label: label, Type: "text", Autocomplete: cmp.Or(prompt.Autocomplete, "off"),
		Required: true, Code: true, Numeric: prompt.Numeric,
	}}
}

func (p *Pages) showFactor(q *request) answer { return p.askFactor(q, "") }

// askFactor shows the page, and says what is wrong with the last answer, if it was wrong.
func (p *Pages) askFactor(q *request, wrong string) answer {
	pending, err := p.core.Pending(q.Context())
	if err != nil {
		return p.pendingFailed(q, err)
	}
	if q.subject = pending.User; len(pending.Missing) == 0 {
		a := p.draw(q, nil)
		a.page.Confirms = pending.Confirm
		return a
	}
	q.factor = p.chosen(q, pending)
	if q.Method != http.MethodHead { // a factor may send a code, and void the one before
		if q.prompt, err = p.core.PromptFactor(q.Context(), q.factor); err != nil {
			return p.pendingFailed(q, err)
		}
	}
	trust := ""
	if days := int(p.auth.TrustFor.Hours() / 24); days > 0 && !pending.Confirm {
		trust = counted(p.texts.TrustBrowser, days)
	}
	a := p.drawFactor(q, trust, wrong)
	if a.page == nil {
		return a
	}
	a.page.Confirms = pending.Confirm
	for _, name := range pending.Missing {
		if name != q.factor {
			other := Factor{FactorState: auth.FactorState{Name: name}, Label: p.factorName(name)}
			other.URL = q.next().AddTo(p.factorURL(name))
			a.page.Factors = append(a.page.Factors, other)
		}
	}
	return a
}

// drawFactor returns the page with the form for the factor. trust is the label of the box
// that trusts the browser, or empty. If the prompt has a script, it fills in the form.
func (p *Pages) drawFactor(q *request, trust, wrong string) answer {
	if q.prompt.Script == "" || p.passkeys == nil {
		f := p.factorForm(q)
		if trust != "" {
			f.Fields = append(f.Fields, Field{Name: "trust_browser", Label: trust, Type: "checkbox"})
		}
		if wrong != "" {
			f.refuse(q.prompt.Field, wrong)
		}
		return p.draw(q, f)
	}
	data, err := p.toJSON(q.prompt.Data)
	if err != nil {
		return answer{err: err}
	}
	a := p.draw(q, nil)
	a.page.Passkey = &PasskeyForm{
		Action: p.factorURL(q.factor), Button: p.texts.PasskeyConfirm, Next: q.next().String(), Data: data, Trust: trust, Alone: true,
	}
	if wrong != "" {
		a = warn(a, http.StatusUnprocessableEntity, "danger", p.texts.PasskeyWrong)
	}
	return a
}

// chosen returns the factor that the URL names, the one that was used last in this browser, or
// the first one that is missing. If the user can show none, it returns "".
func (p *Pages) chosen(q *request, pending auth.Pending) string {
	if with := q.URL.Query().Get("with"); slices.Contains(pending.Missing, with) {
		return with
	}
	if used, err := q.Cookie(p.core.Cookie(usedCookie).Name); err == nil && slices.Contains(pending.Missing, used.Value) {
		return used.Value
	}
	if len(pending.Missing) == 0 {
		return ""
	}
	return pending.Missing[0]
}

func (p *Pages) useFactor(q *request) answer { return p.doOnce(q, "", "", p.useFactorOnce) }

func (p *Pages) useFactorOnce(q *request) (a answer, done bool) {
	pending, err := p.core.Pending(q.Context())
	if err != nil {
		return p.pendingFailed(q, err), false
	}
	factor := p.chosen(q, pending)
	switch {
	case factor == "":
		return p.askFactor(q, ""), false
	case factor != cmp.Or(q.URL.Query().Get("with"), factor): // an answer to another factor
		return p.askFactor(q, ""), false
	case isBlank(q.PostForm):
		return p.askFactor(q, p.texts.Required), false
	}
	switch err := p.core.ContinueLogin(q.Context(), factor, q.PostForm); {
	case err == nil:
		if q.PostForm.Has("trust_browser") && p.auth.TrustFor > 0 && !pending.Confirm {
			err = p.core.TrustBrowser(q.Context())
		}
		return answer{to: p.takeNext(q), err: err, cookies: p.used(factor, pending)}, err == nil
	case errors.Is(err, auth.ErrWrongFactor), errors.Is(err, auth.ErrLocked):
		return withUnknown(q, refusedLogin(later(p.askFactor(q, p.factorWrong(factor)), err)), err), false
	case errors.Is(err, auth.ErrFactorRequired): // another one is owed
		return p.owe(q), false
	default:
		return p.pendingFailed(q, err), false
	}
}

// usedCookie keeps the name of the factor that was used last in this browser, for usedFor. The
// page asks for it first. The name is no secret, and the same for every account.
const (
	usedCookie = "factor"
	usedFor    = 30 * 24 * time.Hour
)

// used returns the cookie that keeps a factor that was used, if the user has a choice. Recovery
// codes are for emergencies, and are not asked for first.
func (p *Pages) used(factor string, pending auth.Pending) []*http.Cookie {
	if len(pending.Missing) < 2 || slices.Contains(p.recoveryFactors(), factor) {
		return nil
	}
	cookie := p.core.Cookie(usedCookie)
	cookie.Value, cookie.MaxAge = factor, int(usedFor/time.Second)
	return []*http.Cookie{&cookie}
}

// isBlank reports whether a form has a field for an answer, but no answer in it. Such a
// form is not counted as an attempt.
func isBlank(form url.Values) bool {
	answers := false
	for name, values := range form {
		if name == "next" || name == "form_user" || name == "form_once" || name == "trust_browser" {
			continue
		}
		answers = true
		if strings.TrimSpace(strings.Join(values, "")) != "" {
			return false
		}
	}
	return answers
}

// later adds Retry-After to the answer if no code is looked at for a while. A wrong code and
// one that was not looked at both have it.
func later(a answer, err error) answer {
	if wait := (*auth.WaitError)(nil); a.page != nil && errors.As(err, &wait) {
		a.header = http.Header{"Retry-After": {strconv.Itoa(int(wait.RetryAfter.Seconds()))}}
	}
	return a
}

// factorWrong is the error for a wrong answer. It is the same while no answer is looked at.
func (p *Pages) factorWrong(factor string) string {
	if slices.Contains(p.recoveryFactors(), factor) {
		return p.texts.RecoveryWrong
	}
	return p.texts.FactorWrong
}

// pendingFailed leads away if no login waits for a factor, or no longer does. The user begins
// again: at the login page or, if the login was to be confirmed, at the refresh page. Users
// whose login has just been finished, by a form that was sent twice for example, go on.
func (p *Pages) pendingFailed(q *request, err error) answer {
	refused := errors.Is(err, auth.ErrNoPending) || errors.Is(err, auth.ErrLoginRefused) || errors.Is(err, auth.ErrNotLoggedIn)
	if !refused || errors.Is(err, auth.ErrReplaced) {
		return answer{err: err}
	}
	_, err = p.core.User(q.Context())
	if err == nil {
		err = p.core.Check(q.Context(), auth.Fresh(p.cfg.FreshFor))
	}
	switch {
	case err == nil:
		return answer{to: p.takeNext(q)}
	case errors.Is(err, auth.ErrNotFresh):
		a := say("warning", p.texts.RefreshAgain, q.next().AddTo(p.urls.Refresh))
		a.why = auth.ErrNotFresh
		return a
	case errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced):
		a := say("warning", p.texts.LoginAgain, q.next().AddTo(p.urls.Login))
		a.why = auth.ErrNoPending
		return a
	}
	return answer{err: err}
}

// totp is the name of the factor of package totp.
const totp = "totp"

// factorName returns what users call a factor.
func (p *Pages) factorName(name string) string {
	recovery := p.recoveryFactors()
	switch {
	case name == totp:
		return p.texts.TOTPName
	case p.passkeys != nil && name == p.passkeys.Name():
		return p.texts.PasskeyName
	case len(recovery) == 1 && name == recovery[0]:
		return p.texts.RecoveryName
	}
	return name
}

// recoveryFactors returns the names of the manager's recovery factors.
func (p *Pages) recoveryFactors() []string {
	var names []string
	for _, f := range p.auth.Factors {
		if _, ok := f.(auth.RecoveryFactor); ok {
			names = append(names, f.Name())
		}
	}
	return names
}
