package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const fresh = "quite another sentence"

func TestReset(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	c, laptop, phone := s.client(), s.client(), s.client()
	c.register("susan")
	wantRedirect(t, laptop.login("susan", good), "/")
	wantRedirect(t, phone.post("/login", "login", "susan", "password", good, "remember_me", "y"), "/")

	wantRedirect(t, c.post("/forgot-password", "email", " Susan@Example.com "), "/check-inbox")
	wantText(t, c.get("/check-inbox"), "we have sent a link to it that sets a new password.")
	link := mails.receive("susan").link
	if !strings.HasPrefix(link, s.url+"/reset-password?token=") {
		t.Errorf("the link is %s", link)
	}
	// Mail scanners and previews open links as well. That changes nothing.
	s.client().openForm(link)

	c.openForm(link)
	page := c.reset("shorter")
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "The password must have at least 8 characters.")
	page = c.post("/reset-password", "password", fresh, "confirm_password", good)
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "The passwords do not match.")
	laptop.wantUser("susan") // nothing has happened yet

	late := s.client() // another browser with the form open
	late.openForm(link)
	wantRedirect(t, c.reset(fresh), "/login")
	wantText(t, c.get("/login"), "Your password has been reset.")
	c.wantUser("") // a reset does not log in

	laptop.wantUser("")
	phone.wantUser("")
	phone.closeBrowser()
	phone.wantUser("")
	wantStatus(t, c.login("susan", good), http.StatusUnprocessableEntity)
	wantRedirect(t, c.login("susan", fresh), "/")
	c.wantUser("susan")

	// A second use fails: of the link, of the form, and of a form that was
	// open.
	again := s.client()
	wantRedirect(t, again.open(link), "/forgot-password")
	wantText(t, again.get("/forgot-password"), "This link has already been used.")
	again.wantInvalid(again.reset("a third sentence"))
	wantRedirect(t, late.reset("a third sentence"), "/forgot-password")
	wantText(t, late.get("/forgot-password"), "This link has already been used.")
	wantRedirect(t, s.client().login("susan", fresh), "/")
	wantStatus(t, s.client().login("susan", "a third sentence"), http.StatusUnprocessableEntity)
}

// TestParallelReset uses one link fifty times at once.
func TestParallelReset(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	s.client().register("susan")
	link := s.forgot(mails, "susan")
	const n = 50
	password := func(i int) string { return "the sentence number " + strconv.Itoa(i) }
	answers := make([]response, n)
	begin := make(chan struct{})
	var using sync.WaitGroup
	for i := range answers {
		c := s.client()
		c.openForm(link)
		r := c.request(http.MethodPost, "/reset-password", form("password", password(i), "confirm_password", password(i)))
		using.Go(func() {
			<-begin
			var err error
			if answers[i], err = c.try(r); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	using.Wait()
	won := -1
	for i, r := range answers {
		if r.location != "/login" {
			wantRedirect(t, r, "/forgot-password")
			continue
		}
		wantRedirect(t, r, "/login")
		if won >= 0 {
			t.Errorf("%d and %d won", won, i)
		}
		won = i
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	wantRedirect(t, s.client().login("susan", password(won)), "/")
	for i := 1; i < 4; i++ { // after five failures the account would be locked
		wantStatus(t, s.client().login("susan", password((won+i)%n)), http.StatusUnprocessableEntity)
	}
	wantStatus(t, s.client().login("susan", good), http.StatusUnprocessableEntity)
}

// TestOldLink: a change of the password makes all earlier links void, and so
// does the use of one of them.
func TestOldLink(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	susan := s.client()
	susan.register("susan")
	wantRedirect(t, susan.login("susan", good), "/")
	old, opened := s.client(), s.client()
	link := s.forgot(mails, "susan")
	opened.openForm(link)
	wantRedirect(t, susan.post("/account/password", "current_password", good, "password", fresh, "confirm_password", fresh), "/account")
	mails.expect("susan", "Your password was changed")
	old.wantInvalid(old.open(link))
	opened.wantInvalid(opened.reset("a third sentence"))
	susan.wantUser("susan")
	wantRedirect(t, s.client().login("susan", fresh), "/")

	first, second := s.forgot(mails, "susan"), s.forgot(mails, "susan")
	c := s.client()
	c.openForm(first)
	wantRedirect(t, c.reset("a third sentence"), "/login")
	old.wantInvalid(old.open(second))
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	susan := s.client()
	susan.register("susan")
	link := s.forgot(mails, "susan")
	_, token, _ := strings.Cut(link, "token=")
	flipped := []byte(token)
	flipped[len(flipped)/2] ^= 1
	for _, garbage := range []string{
		"", "x", string(flipped), token[:len(token)-1], token + "A", token + token, strings.Repeat("A", 10_000), "\x00", "%ff", "../..",
	} {
		c := s.client()
		c.wantInvalid(c.open("/reset-password?token=" + url.QueryEscape(garbage)))
		// The same holds for the cookie that a link sets.
		c.openForm(link)
		for name := range c.cookies {
			c.cookies[name].Value = strings.Trim(garbage, "\x00") + "xx" // never the token
		}
		c.wantInvalid(c.reset(fresh))
	}
	c := s.client()
	c.wantInvalid(c.get("/reset-password"))
	c.wantInvalid(c.reset(fresh))
	// A token of another kind, and a token in the body.
	wantRedirect(t, c.login("susan", good), "/")
	for _, cookie := range c.cookies {
		other := s.client()
		other.wantInvalid(other.open("/reset-password?token=" + url.QueryEscape(cookie.Value)))
	}
	c = s.client()
	c.wantInvalid(c.post("/reset-password", "token", token, "password", fresh, "confirm_password", fresh))
	wantRedirect(t, s.client().login("susan", good), "/")
}

// TestHost: links lead to the application, whatever Host the request has.
func TestHost(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	for i, header := range []string{"Host", "X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Prefix"} {
		c, name := s.client(), fmt.Sprint("user", i)
		c.register(name)
		r := c.request(http.MethodPost, "/forgot-password", form("email", name+"@example.com"))
		switch header {
		case "Host":
			r.Host = "evil.example"
		case "Forwarded":
			r.Header.Set(header, "host=evil.example;proto=https")
		default:
			r.Header.Set(header, "evil.example")
		}
		answer := c.do(r)
		wantRedirect(t, answer, "/check-inbox")
		m := mails.receive(name)
		if !strings.HasPrefix(m.link, s.url+"/reset-password?token=") || strings.Contains(m.text, "evil") {
			t.Errorf("%s: the link is %s", header, m.link)
		}
		c.openForm(m.link)
	}
	r := s.client().request(http.MethodGet, "/profile", nil)
	r.Host = "evil.example"
	wantRedirect(t, s.client().do(r), "/login?next=%2Fprofile")
}

// alike fails if an attacker can tell the two answers apart, except by their
// time and sealed values.
func alike(t *testing.T, a, b response) {
	t.Helper()
	shape := func(r response) string {
		h := r.header.Clone()
		h.Del("Date")
		for i, cookie := range h["Set-Cookie"] {
			name, rest, _ := strings.Cut(cookie, "=")
			value, attributes, _ := strings.Cut(rest, ";")
			h["Set-Cookie"][i] = name + "=" + strconv.Itoa(len(value)) + " bytes;" + attributes
		}
		var text strings.Builder
		_ = h.Write(&text)
		return fmt.Sprintln(r.status) + text.String() + r.body
	}
	if one, other := shape(a), shape(b); one != other {
		t.Errorf("one answer is\n%s\nthe other is\n%s", one, other)
	}
}

// inbox opens the page that says where a mail went, which must be this address, and leaves the
// address out.
func inbox(c *client, address string) response {
	c.t.Helper()
	r := c.get("/check-inbox")
	wantText(c.t, r, "<bdi>"+address+"</bdi>")
	r.body = strings.ReplaceAll(r.body, address, "")
	r.header.Del("Content-Length")
	return r
}

// askAlike asks for a link for susan, who has an account, and for an address
// without one.
func (s *site) askAlike() {
	s.t.Helper()
	known, unknown := s.client(), s.client()
	one := known.post("/forgot-password", "email", "susan@example.com")
	other := unknown.post("/forgot-password", "email", "nobody@example.com")
	wantRedirect(s.t, one, "/check-inbox")
	alike(s.t, one, other)
	one, other = inbox(known, "susan@example.com"), inbox(unknown, "nobody@example.com")
	wantText(s.t, one, "we have sent a link to it that sets a new password.")
	alike(s.t, one, other)
}

func TestForgotAlike(t *testing.T) {
	t.Parallel()
	mails := newMailServer(t, nil)
	s := start(t, "-smtp", mails.addr)
	s.client().register("susan")
	s.askAlike()
	mails.receive("susan")
	page := s.client().post("/forgot-password", "email", "not an address")
	wantStatus(t, page, http.StatusUnprocessableEntity)
	wantText(t, page, "This is not an email address, such as name@example.com.")
	wantField(t, page, "email", "not an address")
	s.stop() // sends the queued mails
	if len(mails.got) != 0 {
		t.Errorf("one more mail: %v", <-mails.got)
	}
}

// TestForgotHanging has a mail server that does not answer until the pages have
// been answered.
func TestForgotHanging(t *testing.T) {
	t.Parallel()
	var hanging *gate
	mails := newMailServer(t, func(l net.Listener) net.Listener { hanging = newGate(l); return hanging })
	s := start(t, "-smtp", mails.addr)
	s.client().register("susan")
	s.askAlike()
	wait(t, hanging.knocked) // the mailer waits for this server now
	s.askAlike()
	if len(mails.got) != 0 {
		t.Fatal("the server did not hang")
	}
	hanging.open()
	mails.receive("susan")
	mails.receive("susan")
}

// TestForgotDown has a mail server that closes every connection.
func TestForgotDown(t *testing.T) {
	t.Parallel()
	var down *shut
	mails := newMailServer(t, func(l net.Listener) net.Listener { down = &shut{newGate(l)}; return down })
	s := start(t, "-smtp", mails.addr)
	s.client().register("susan")
	s.askAlike()
	wait(t, down.knocked) // the mailer has tried, and will try again
	s.askAlike()
	down.open()
	s.stop() // it tries again now
	for range 2 {
		s := mails.receive("susan")
		if !strings.Contains(s.link, "/reset-password?token=") {
			t.Errorf("the link is %q", s.link)
		}
	}
}

// manyMails is too many to be sent in the moment that a program takes to end.
const manyMails = 48

// askMany makes the program send manyMails mails. No mailbox gets more than
// three.
func (c *client) askMany() {
	c.t.Helper()
	for i := range manyMails / 3 {
		name := fmt.Sprint("user", i)
		c.register(name)
		for range 3 {
			wantRedirect(c.t, c.post("/forgot-password", "email", name+"@example.com"), "/check-inbox")
		}
	}
}

// TestStop: mails that were queued before the end are sent before the program
// ends.
func TestStop(t *testing.T) {
	t.Parallel()
	var hanging *gate
	mails := newMailServer(t, func(l net.Listener) net.Listener { hanging = newGate(l); return hanging })
	s := start(t, "-smtp", mails.addr)
	s.client().askMany()
	wait(t, hanging.knocked)
	stopping := idle(t, s.url)
	s.cancel()
	stopping()
	hanging.open()
	s.stop()
	if n := len(mails.got); n != manyMails {
		t.Errorf("%d of %d mails were sent", n, manyMails)
	}
}

// idle keeps a connection to a server, and returns a function that waits until
// the server has closed it, because it is stopping.
func idle(t *testing.T, base string) func() {
	t.Helper()
	u, err := url.Parse(base)
	check(t, err)
	conn, err := net.Dial("tcp", u.Host)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/auth.css", nil)
	check(t, err)
	check(t, r.Write(conn))
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, r)
	check(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	check(t, err)
	return func() {
		t.Helper()
		if b, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, %v", b, err)
		}
	}
}

// TestPrinted: without a mail server, mails are printed.
func TestPrinted(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	c.register("susan")
	s.askReset("nobody")
	s.askReset("susan")
	link := printedLink(t, s.lines)
	if !strings.HasPrefix(link, s.url+"/reset-password?token=") {
		t.Errorf("the link is %s", link)
	}
	c.openForm(link)
	wantRedirect(t, c.reset(fresh), "/login")
	wantRedirect(t, c.login("susan", fresh), "/")
	wantPrinted(t, s.lines, "susan", "Your password was changed")
	s.stop()
	if line, ok := <-s.lines; ok {
		t.Errorf("it also prints %q", line)
	}
}
