package pages

import (
	"cmp"
	"net/http"
	"time"

	"github.com/go-login/auth"
)

// loginNameFor is how long the login page knows the name of an account that was just registered.
const loginNameFor = 10 * time.Minute

// keepLoginName adds to an answer a cookie with the name that the user has registered. The login
// page fills it in, once. The cookie is sealed, so the name is in no URL and no log. The name is
// one that the user has typed, or that the page of a mailed link has shown.
func (p *Pages) keepLoginName(a answer, username, email string) answer {
	name := cmp.Or(username, email)
	if p.auth.Identifiers == auth.EmailOnly {
		name = email
	}
	cookie := p.core.Cookie("login")
	cookie.Value = p.core.SealCookie("login", []byte(name), p.auth.Now().Add(loginNameFor))
	cookie.MaxAge = int(loginNameFor.Seconds())
	a.cookies = append(a.cookies, &cookie)
	return a
}

// takeLoginName fills in the name, and moves the cursor to the password. It returns a cookie
// that deletes the kept name.
func (p *Pages) takeLoginName(q *request, f *Form) []*http.Cookie {
	cookie := p.core.Cookie("login")
	kept, err := q.Cookie(cookie.Name)
	if q.Method != http.MethodGet || err != nil {
		return nil
	}
	if name, ok := p.core.OpenCookie("login", kept.Value); ok {
		f.Field("login").Value, f.Field("login").Focus, f.Field("password").Focus = shown(string(name)), false, true
	}
	if q.Header.Get("Sec-Purpose") != "" { // perhaps the user never sees this page: the browser loads it ahead of time
		return nil
	}
	cookie.MaxAge = -1
	return []*http.Cookie{&cookie}
}
