package testapp

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
)

// A Visitor is a browser that may come from anywhere, as anything. It talks to the
// application's handler without a network.
type Visitor struct {
	App     *App
	Ctx     context.Context //nolint:containedctx // of its requests
	Address string          // where it comes from, as in http.Request.RemoteAddr
	Agent   string          // its User-Agent; if it is empty, it sends none
	Header  http.Header     // sent with each request
	Cookies map[string]string
}

// Visitor returns a browser at an address that has never been here. An IP address gets
// a port.
func (a *App) Visitor(ctx context.Context, address string) *Visitor {
	if ip, err := netip.ParseAddr(address); err == nil {
		address = netip.AddrPortFrom(ip, 1234).String()
	}
	return &Visitor{App: a, Ctx: ctx, Address: address, Header: http.Header{}, Cookies: map[string]string{}}
}

// From returns a browser with the same cookies somewhere else: at this Address.
func (v *Visitor) From(agent, address string) *Visitor {
	other := v.App.Visitor(v.Ctx, "")
	other.Agent, other.Address = agent, address
	maps.Copy(other.Cookies, v.Cookies)
	return other
}

// Restart ends the browser's session: only cookies that last are left.
func (v *Visitor) Restart() {
	maps.DeleteFunc(v.Cookies, func(name, _ string) bool { return !strings.HasSuffix(name, "-remember") })
}

// Do sends a form, of names and values, and takes the answer's cookies.
func (v *Visitor) Do(method, target string, fields ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequestWithContext(v.Ctx, method, target, strings.NewReader(form.Encode()))
	maps.Copy(r.Header, v.Header)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.Agent != "" {
		r.Header.Set("User-Agent", v.Agent)
	}
	r.RemoteAddr = v.Address
	for name, value := range v.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	v.App.Server.Config.Handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(v.Cookies, c.Name)
		} else {
			v.Cookies[c.Name] = c.Value
		}
	}
	return w
}

// Post sends a form.
func (v *Visitor) Post(target string, fields ...string) *httptest.ResponseRecorder {
	return v.Do(http.MethodPost, target, fields...)
}

// Login tries a password, and returns the answer's status.
func (v *Visitor) Login(login, password string) int {
	return v.Post("/login", "login", login, "password", password).Code
}

// Who is who the application takes the browser for.
func (v *Visitor) Who() string { return v.Do(http.MethodGet, "/who").Body.String() }

// IsFresh reports whether the browser gets a page that asks for a fresh login of any
// age.
func (v *Visitor) IsFresh() bool { return v.Do(http.MethodGet, "/fresh").Code == http.StatusOK }
