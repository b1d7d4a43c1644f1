package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// The attacker's reset link, opened by a page of his in the middle of susan's
// own reset, makes her set HIS password, and hers stays.
func TestResetDiverted(t *testing.T) {
	s := newSite(t, nil)
	_, err := s.store.CreateUser(t.Context(), auth.Account{Username: "mallory", Email: "mallory@example.com",
		PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp 2"), Version: 1}, nil)
	check(t, err)
	his, hers := s.link("mallory@example.com"), s.link("susan@example.com")
	c := s.client()
	c.get(hers)
	form := c.get("/reset-password")
	if !strings.Contains(form.body, "susan") {
		t.Error("the form does not say whose password it is")
	}
	c.do("GET", his, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate") // a popup
	proof := regexp.MustCompile(`name="proof" value="([^"]+)"`).FindStringSubmatch(form.body)
	if len(proof) != 2 {
		t.Fatal("the form does not say which token it is for")
	}
	r := c.post("/reset-password", "password", "a new fine battery", "confirm_password", "a new fine battery", "proof", proof[1])
	wantRedirect(t, r, "/forgot-password")
	if _, err := s.manager.Authenticate(t.Context(), "mallory", "a new fine battery"); err == nil {
		t.Error("susan's form has set mallory's password")
	}
	c.get(s.link("susan@example.com"))
	c.do("GET", "/reset-password?token=garbage", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	if r := c.get("/reset-password"); r.status != 200 {
		t.Error("a cross-site GET with a garbage token has ended susan's reset")
	}
}

type massUser struct {
	auth.Account
	City  string
	Admin bool
}

// what a form decoder such as gorilla/schema does
func (u *massUser) ReadForm(form url.Values) error {
	u.City, u.Admin = form.Get("city"), form.Get("admin") != ""
	return nil
}

func TestMassAssignment(t *testing.T) {
	store := memstore.New[massUser]()
	m, err := auth.New(store, auth.Config{BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}})
	check(t, err)
	p, err := pages.New(m.Core, pages.Config{Fields: []pages.Field{{Name: "city", Label: "City"}}})
	check(t, err)
	body := url.Values{"username": {"tom"}, "email": {"tom@example.com"}, "password": {good}, "confirm_password": {good}, "city": {"Bern"}, "admin": {"1"}}
	r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(body.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	m.LoadAndSave(p).ServeHTTP(w, r)
	u, err := store.FindUser(t.Context(), "tom")
	check(t, err)
	if u.Admin {
		t.Error("a field that the form does not have reached ReadForm")
	}
}
