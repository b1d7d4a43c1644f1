package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// factorPage is for a browser in which a login, or the confirmation of a login, waits
// for a second factor.
func (p *Pages) factorPage() *page {
	t := &p.texts
	return &page{
		name: "factor", title: &t.FactorTitle,
		texts: []text{
			must(&t.FactorTitle, "Confirm It Is You"),
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
			must(&t.FactorWrong, "That code was wrong or has been used. Wait for the next one."),
			must(&t.RecoveryWrong, "That recovery code was wrong or has been used. Use another one."),
			may(&t.LoginAgain, "Please log in again."),
			may(&t.RefreshAgain, "Please confirm your password again."),
			may(&t.LoginCancelled, "The login has been cancelled."),
		},
		path: "/login/verify", url: &p.urls.Factor, absent: len(p.auth.Factors) == 0,
		setting: &setting{"Factor", p.auth.URLs.Factor, "the page that asks for a second factor"},
		who:     anybody, own: true, once: true, pending: true,
		form: p.factorForm, get: p.showFactor, post: p.useFactor,
		sample: func(page *Page) {
			page.Factors = []Factor{{FactorState: auth.FactorState{Name: "recovery-code"}, Label: "text", URL: "/"}}
		},
	}
}

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
	case slices.Contains(p.backupFactors(), factor):
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
	q.subject, q.factor = pending.User, chosen(q, pending)
	if q.Method != http.MethodHead { // a factor may send a code, and void the one before
		if q.prompt, err = p.core.PromptFactor(q.Context(), q.factor); err != nil {
			return p.pendingFailed(q, err)
		}
	}
	f := p.factorForm(q)
	if days := int(p.auth.TrustFor.Hours() / 24); days > 0 && !pending.Confirm {
		f.Fields = append(f.Fields, Field{Name: "trust_browser", Label: counted(p.texts.TrustBrowser, days), Type: "checkbox"})
	}
	if wrong != "" {
		f.refuse(q.prompt.Field, wrong)
	}
	a := p.draw(q, f)
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

// chosen returns the factor that the URL names, or the first one that is missing.
func chosen(q *request, pending auth.Pending) string {
	if with := q.URL.Query().Get("with"); slices.Contains(pending.Missing, with) {
		return with
	}
	return pending.Missing[0]
}

func (p *Pages) useFactor(q *request) answer { return p.doOnce(q, "", "", p.useFactorOnce) }

func (p *Pages) useFactorOnce(q *request) (a answer, done bool) {
	pending, err := p.core.Pending(q.Context())
	if err != nil {
		return p.pendingFailed(q, err), false
	}
	factor := chosen(q, pending)
	switch {
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
		return answer{to: p.takeNext(q), err: err}, err == nil
	case errors.Is(err, auth.ErrWrongFactor), errors.Is(err, auth.ErrLocked):
		return p.askFactor(q, p.factorWrong(factor)), false
	case errors.Is(err, auth.ErrFactorRequired): // another one is owed
		return answer{to: q.next().AddTo(p.urls.Factor)}, false
	default:
		return p.pendingFailed(q, err), false
	}
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

// factorWrong is the error for a wrong answer. It is the same while no answer is looked at.
func (p *Pages) factorWrong(factor string) string {
	if slices.Contains(p.backupFactors(), factor) {
		return p.texts.RecoveryWrong
	}
	return p.texts.FactorWrong
}

// pendingFailed leads away if no login waits for a factor, or not any more. The user begins
// again: at the login page or, if the login was to be confirmed, at the refresh page. Users
// whose login has just been finished, by a form that was sent twice for example, go on.
func (p *Pages) pendingFailed(q *request, err error) answer {
	refused := errors.Is(err, auth.ErrNoPending) || errors.Is(err, auth.ErrLoginRefused) || errors.Is(err, auth.ErrNotLoggedIn)
	if !refused || errors.Is(err, auth.ErrReplaced) {
		return answer{err: err}
	}
	_, err = p.core.User(q.Context())
	if err == nil {
		err = p.core.CheckFresh(q.Context(), p.cfg.FreshFor)
	}
	switch {
	case err == nil:
		return answer{to: p.takeNext(q)}
	case errors.Is(err, auth.ErrNotFresh):
		return say("warning", p.texts.RefreshAgain, q.next().AddTo(p.urls.Refresh))
	case errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced):
		return say("warning", p.texts.LoginAgain, q.next().AddTo(p.urls.Login))
	}
	return answer{err: err}
}

// totp is the name of the factor of package totp.
const totp = "totp"

// factorName returns what users call a factor.
func (p *Pages) factorName(name string) string {
	backups := p.backupFactors()
	switch {
	case name == totp:
		return p.texts.TOTPName
	case len(backups) == 1 && name == backups[0]:
		return p.texts.RecoveryName
	}
	return name
}

// backupFactors returns the names of the manager's backup factors.
func (p *Pages) backupFactors() []string {
	var names []string
	for _, f := range p.auth.Factors {
		if _, ok := f.(auth.BackupFactor); ok {
			names = append(names, f.Name())
		}
	}
	return names
}
