package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
)

// Pages of your own log users in by mail: one asks for the address, and one for the code. The
// link in the mail opens the second one.
func ExampleCore_LoginByCode() {
	mailbox, store := &authtest.Mailbox{}, memstore.New[Member]()
	manager, err := auth.New(store, auth.Config{
		BaseURL:    "https://app.example",
		Secrets:    [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Mailer:     mailbox,
		EmailLogin: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/mail", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.SendLoginCode(r.Context(), r.PostFormValue("email"), auth.NextFrom(r)); err != nil {
			manager.Error(w, r, err)
			return
		}
		fmt.Fprintln(w, "If there is such an account, we have sent a code to it.") // the same for every address
	})
	mux.HandleFunc("GET /login/code", func(w http.ResponseWriter, r *http.Request) {
		link, err := manager.CheckLoginLink(r.Context(), r.FormValue("token"))
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		fmt.Fprintf(w, "Log in as %s? Asked for in this browser: %v\n", link.User.AuthAccount().Username, link.SameBrowser)
	})
	mux.HandleFunc("POST /login/code", func(w http.ResponseWriter, r *http.Request) {
		login := func() (bool, error) { return manager.LoginByCode(r.Context(), r.PostFormValue("code")) }
		if token := r.PostFormValue("token"); token != "" {
			login = func() (bool, error) { return manager.LoginByLink(r.Context(), token) }
		}
		switch cleared, err := login(); {
		case err == nil && cleared:
			fmt.Fprintln(w, "Everything that was set up before you proved your address was removed.")
		case err == nil:
			manager.TakeNext(r).Redirect(w, "/")
		case errors.Is(err, auth.ErrLoginRefused), errors.Is(err, auth.ErrInvalidToken):
			http.Error(w, "That code or link is wrong or has expired.", http.StatusUnprocessableEntity)
		default:
			manager.Error(w, r, err) // ErrFactorRequired: to the page for the second factor
		}
	})

	ann := auth.Account{Username: "ann", Email: "ann@app.example", EmailVerified: true}
	if _, err := store.CreateUser(context.Background(), ann, nil); err != nil {
		fmt.Println(err)
		return
	}
	browser := http.Header{}
	post := func(path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "https://app.example"+path, strings.NewReader(form.Encode()))
		r.Header = browser.Clone()
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		manager.LoadAndSave(mux).ServeHTTP(w, r)
		for _, cookie := range w.Result().Cookies() {
			browser.Add("Cookie", cookie.Name+"="+cookie.Value)
		}
		return w
	}
	post("/login/mail", url.Values{"email": {"ann@app.example"}})
	code := mailbox.Mails()[0].Code.Reveal()
	fmt.Println(post("/login/code", url.Values{"code": {"BBBB-BBBB"}}).Code)
	fmt.Println(post("/login/code", url.Values{"code": {strings.ToLower(code)}}).Code)
	// Output:
	// 422
	// 303
}
