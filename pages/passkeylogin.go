package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

// A PasskeyForm is a form that the script of passkeys sends. The template passkey.html shows
// it. The form is hidden until the script finds that the browser has passkeys.
type PasskeyForm struct {
	Action   string // the URL to post it to
	Button   string // the button's text
	Next     string // value of the hidden field next, or empty
	Data     string // for the script: what to ask the browser for, as JSON; or empty
	URL      string // where the script gets it, if Data is empty
	Autofill bool   // the browser also offers passkeys in the field for the name
	Remember bool   // the box remember_me of the page's other form is for this one, too
	Trust    string // the label of a box trust_browser, or empty
	Alone    bool   // the page has no other form: it says so if the browser has no passkeys
}

// passkeyField is the hidden input of a PasskeyForm. The script puts the answer into it.
const passkeyField = "passkey"

// passkeyLoginPage is where the login page sends a passkey, and where the script asks what
// to ask the browser for.
func (p *Pages) passkeyLoginPage() *page {
	t := &p.texts
	return &page{
		texts: []text{
			must(&t.PasskeyName, "Passkey"),
			must(&t.PasskeyLogin, "Log in with a passkey"),
			must(&t.PasskeyConfirm, "Confirm with a passkey"),
			must(&t.PasskeyWrong, "That passkey could not be used. Try again, or log in another way."),
			must(&t.PasskeyFailed, "The browser could not use a passkey. Try again."),
			must(&t.PasskeyMissing, "This browser has no passkeys, or does not run scripts."),
		},
		path: "/login/passkey", url: &p.urls.PasskeyLogin, absent: p.passkeys == nil,
		stays: "take the PasskeyFactor out of Factors of auth.Config",
		who:   visitorsAndUsers, get: p.promptPasskey, post: p.loginByPasskey,
		fields: []string{passkeyField, "next"}, flags: []string{"remember_me"}, raw: true,
	}
}

// findPasskeys finds the PasskeyFactor of the manager, and its script.
func (p *Pages) findPasskeys() error {
	for _, f := range p.auth.Factors {
		if passkeys, ok := f.(auth.PasskeyFactor); ok {
			p.passkeys = passkeys
		}
	}
	if p.passkeys == nil {
		if p.cfg.NoPasskeyOffer {
			return errors.New("pages: NoPasskeyOffer has no effect, because auth.Config.Factors has no PasskeyFactor; remove it")
		}
		return nil
	}
	if path := p.passkeyScript(); !strings.HasPrefix(path, p.cfg.Prefix+"/") {
		return fmt.Errorf("pages: the script of %s is at %s, but the pages serve only what is below Prefix %q; in passkey.Config, set ScriptPath to %s", p.passkeys.Name(), path, p.cfg.Prefix, p.cfg.Prefix+path)
	}
	return nil
}

// passkeyScript returns the path of the script below the path of BaseURL.
func (p *Pages) passkeyScript() string {
	path, _ := p.passkeys.Script()
	if below, ok := strings.CutPrefix(path, p.core.BasePath()+"/"); ok {
		return "/" + below
	}
	return path
}

// passkeyScriptPage is the script of passkeys.
func (p *Pages) passkeyScriptPage() *page {
	entry := &page{
		url: &p.urls.PasskeyScript, absent: p.passkeys == nil, script: true,
		stays: "take the PasskeyFactor out of Factors of auth.Config",
		who:   anybody, asset: true, get: func(*request) answer { return answer{by: p.passkeyJS} },
	}
	if p.passkeys != nil {
		entry.path = strings.TrimPrefix(p.passkeyScript(), p.cfg.Prefix)
	}
	return entry
}

// passkeyScripts returns the URL of the script of passkeys, if a page needs it.
func (p *Pages) passkeyScripts(page *Page) []string {
	if page.Passkey == nil && page.KnownPasskeys == "" && page.UnknownPasskey == "" {
		return nil
	}
	return []string{p.urls.PasskeyScript}
}

// promptPasskey answers the script with what to ask the browser for. A user who opens the
// URL as a page goes on to the login page.
func (p *Pages) promptPasskey(q *request) answer {
	if !q.json {
		return answer{to: q.next().AddTo(p.urls.Login)}
	}
	prompt, err := p.core.PromptPasskey(q.Context())
	if err != nil {
		return answer{err: err}
	}
	data, err := p.toJSON(prompt.Data)
	if err != nil {
		return answer{err: err}
	}
	return answer{by: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(data)) // an error means that the client has hung up
	})}
}

// loginByPasskey logs in by a passkey. If two tabs show the login page, and the user has
// logged in at the first one, the second one logs in again, perhaps as another user: the
// passkey that the user picks names the account.
func (p *Pages) loginByPasskey(q *request) answer {
	_, err := p.core.LoginByPasskey(q.Context(), q.PostForm, auth.Remember(q.PostForm.Get("remember_me") != ""))
	switch {
	case err == nil:
		return answer{to: p.takeNext(q)}
	case errors.Is(err, auth.ErrFactorRequired):
		return p.owe(q)
	case !errors.Is(err, auth.ErrLoginRefused):
		return answer{err: err}
	}
	if q.user != nil { // as for every visit to the login page
		return answer{to: p.takeNext(q), why: err}
	}
	q.page, q.typed = p.named["login"], nil
	return p.passkeyRefused(q, p.showLogin(q), err)
}

// passkeyRefused adds to a page why a passkey was refused. The text is the same for all
// reasons.
func (p *Pages) passkeyRefused(q *request, a answer, err error) answer {
	if a.page == nil {
		return a
	}
	a = warn(a, http.StatusUnprocessableEntity, "danger", p.texts.PasskeyWrong)
	a.code = "passkey-refused"
	return withUnknown(q, a, err)
}

// withUnknown tells the browser to forget a passkey that the site does not have.
func withUnknown(q *request, a answer, err error) answer {
	if a.page != nil && errors.Is(err, auth.ErrUnknownPasskey) {
		a.code = "unknown-passkey"
		a.page.UnknownPasskey = unknownPasskey(q.PostForm.Get(passkeyField))
	}
	return a
}

// unknownPasskey returns for the script what an answer says about its passkey. A browser
// believes it only of its own site, so users can do nothing to others by it.
func unknownPasskey(answer string) string {
	var a struct {
		ID   string `json:"id"`
		RPID string `json:"rpId"`
	}
	if err := json.Unmarshal([]byte(answer), &a); err != nil || a.ID == "" || a.RPID == "" {
		return ""
	}
	data, _ := json.Marshal(map[string]string{"rpId": a.RPID, "credentialId": a.ID}) // never fails
	return string(data)
}

// warn adds a text to a page, and sets its status.
func warn(a answer, status int, category, text string) answer {
	a.page.Status = status
	a.page.Flashes = append(a.page.Flashes, auth.Flash{Category: category, Text: text})
	return a
}

// withKnown adds to a page what the script tells the browser about the user's passkeys.
func (p *Pages) withKnown(q *request, a answer) answer {
	if p.passkeys == nil || a.page == nil {
		return a
	}
	known, err := p.core.KnownPasskeys(q.Context())
	if err == nil && known != nil {
		a.page.KnownPasskeys, err = p.toJSON(known)
	}
	if err != nil {
		return answer{err: err}
	}
	return a
}

// toJSON returns data for the script.
func (p *Pages) toJSON(data any) (string, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return "", fmt.Errorf("pages: the data of the factor %s cannot be written as JSON: %w", p.passkeys.Name(), err)
	}
	return string(text), nil
}

// hasPasskey reports whether the user has a passkey that works.
func (p *Pages) hasPasskey(q *request) (bool, error) {
	if p.passkeys == nil {
		return false, nil
	}
	all, err := p.core.Passkeys(q.Context(), q.user)
	return works(all), err
}
