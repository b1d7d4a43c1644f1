package authtest_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// The walk from the form for a forgotten password to a login with the new one.
func TestMailboxReset(t *testing.T) {
	s := newSite(t, nil)
	s.create(t, "susan", password)
	c := s.client(t)
	want(t, c.Follow(c.Post("/forgot-password", form("email", "Susan@App.Example"))), http.StatusOK, "")
	link := s.mailbox.Link(t, "susan@APP.example")
	if !strings.HasPrefix(link, "/reset-password?token=") {
		t.Fatalf("the link is %q", link)
	}
	page := c.Follow(c.Get(link))
	want(t, page, http.StatusOK, "Confirm")
	if got := page.Request.URL.String(); got != origin+"/reset-password" {
		t.Errorf("the page is %s", got)
	}
	proof := regexp.MustCompile(`name="proof" value="([^"]+)"`).FindStringSubmatch(page.Text)
	if proof == nil {
		t.Fatalf("no proof in %s", page.Text)
	}
	const second = "another battery horse"
	r := c.Post("/reset-password", form("password", second, "confirm_password", second, "proof", proof[1]))
	want(t, r, http.StatusSeeOther, "")
	want(t, c.Post("/login", form("login", "susan", "password", password)), http.StatusUnprocessableEntity, "")
	want(t, c.Post("/login", form("login", "susan", "password", second)), http.StatusSeeOther, "")
	want(t, c.Get("/who"), http.StatusOK, "susan")
}

func TestMailboxLast(t *testing.T) {
	var b authtest.Mailbox
	send := func(kind auth.MailKind, to, link string) {
		t.Helper()
		check(t, b.Send(t.Context(), auth.Mail{Kind: kind, To: to, Link: auth.NewSecret(link)}))
	}
	if n := len(b.Mails()); n != 0 {
		t.Errorf("the zero value has %d mails", n)
	}
	wantFatal(t, func(t testing.TB) { b.Last(t, "susan@app.example") }, "no mail to susan@app.example", "(none)")

	send(auth.MailReset, "susan@app.example", origin+"/first?a=b")
	send(auth.MailReset, "susan@app.example", origin+"/second?a=b&c=d#e")
	send(auth.MailStolen, "joe@app.example", "")
	if got := b.Link(t, "Susan@app.example"); got != "/second?a=b&c=d" {
		t.Errorf("the link is %q", got)
	}
	if got := b.Last(t, "joe@app.example"); got.Kind != auth.MailStolen {
		t.Errorf("joe's last mail is %s", got.Kind)
	}
	wantFatal(t, func(t testing.TB) { b.Link(t, "joe@app.example") }, "joe@app.example", "remember-stolen", "has no link")
	wantFatal(t, func(t testing.TB) { b.Link(t, "eve@app.example") },
		"no mail to eve@app.example", "reset to susan@app.example", "remember-stolen to joe@app.example")
	got, _ := failures(t, func(t testing.TB) { b.Link(t, "eve@app.example") })
	if strings.Contains(got, "/second") {
		t.Errorf("a failure tells a link: %s", got)
	}
	mails := b.Mails()
	if len(mails) != 3 || mails[0].Link.Reveal() != origin+"/first?a=b" {
		t.Errorf("the mails are %v", mails)
	}
	mails[0].To = "somebody else"
	if b.Mails()[0].To != "susan@app.example" {
		t.Error("Mails returns the mailbox's own")
	}
}

func TestMailboxFails(t *testing.T) {
	var mu sync.Mutex
	var events []auth.Event
	broken := errors.New("no route to host")
	s := newSite(t, func(cfg *auth.Config) { cfg.OnEvent = sink(&mu, &events) })
	s.mailbox.Fail(broken)
	s.create(t, "susan", "")
	check(t, s.SendReset(t.Context(), "susan@app.example"))
	if last := events[len(events)-1]; last.Kind != auth.EventMailFailed || !errors.Is(last.Err, broken) {
		t.Errorf("the last event is %v", last)
	}
}

func TestMailboxIsMended(t *testing.T) {
	var b authtest.Mailbox
	b.Fail(errors.New("full"))
	if err := b.Send(t.Context(), auth.Mail{To: "a@app.example"}); err == nil {
		t.Error("Send returns nil")
	}
	b.Fail(nil)
	check(t, b.Send(t.Context(), auth.Mail{To: "b@app.example"}))
	if mails := b.Mails(); len(mails) != 1 || mails[0].To != "b@app.example" {
		t.Errorf("the mails are %v", mails)
	}
}

func TestMailboxForManyGoroutines(t *testing.T) {
	var b authtest.Mailbox
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			check(t, b.Send(t.Context(), auth.Mail{To: "a@app.example"}))
			_ = b.Mails()
			b.Fail(nil)
			b.Last(t, "a@app.example")
		})
	}
	wg.Wait()
	if n := len(b.Mails()); n != 20 {
		t.Errorf("there are %d mails", n)
	}
}
