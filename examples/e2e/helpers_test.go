// Package e2e tests the quickstart in a real browser: the Chromium in
// GOLOGIN_CHROMIUM (/usr/bin/chromium). Without it no test runs. If
// GOLOGIN_SCREENSHOTS names a directory, pictures of every page are saved
// there. If GOLOGIN_AXE names the file axe.min.js of the npm package axe-core,
// axe checks every page too.
package e2e

import (
	"bufio"
	"context"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for anything.
const patience = 2 * time.Minute

// good is a password that the policy accepts.
const good = "a plain sentence"

// A site is an example, such as the quickstart, built from the repository's root and running.
type site struct {
	url   string
	lines chan string
}

func startSite(t *testing.T, args ...string) *site {
	t.Helper()
	return startExample(t, "quickstart", args...)
}

func startExample(t *testing.T, example string, args ...string) *site {
	t.Helper()
	s, _ := startExampleAfter(t, nil, example, args...)
	return s
}

// startExampleAfter runs the example with the arguments in first, if there are any, and then starts
// it. It returns what the first run printed.
func startExampleAfter(t *testing.T, first []string, example string, args ...string) (s *site, printed string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("it is ended by a signal")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, example)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./examples/"+example)
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "GOWORK=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if first != nil {
		before := exec.CommandContext(t.Context(), binary, first...)
		before.Dir = dir
		out, err := before.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		printed = string(out)
	}
	cmd := exec.CommandContext(context.Background(), binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Dir = dir
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	s = &site{lines: make(chan string, 1000)}
	go readLines(stdout, s.lines)
	t.Cleanup(func() {
		check(t, cmd.Process.Signal(syscall.SIGTERM))
		inMail := false // inside a printed mail
		for line := range s.lines {
			if inMail = inMail || line == "---- mail ----"; !inMail {
				t.Errorf("at the end the program says %q", line)
			}
			inMail = inMail && line != "--------------"
		}
		check(t, cmd.Wait())
	})
	fields := strings.Fields(s.line(t))
	if len(fields) < 4 || !strings.HasPrefix(fields[3], "http://localhost:") {
		t.Fatalf("it says %q", fields)
	}
	s.url = fields[3]
	return s, printed
}

func readLines(r io.Reader, lines chan<- string) {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		lines <- scanner.Text()
	}
	close(lines)
}

// line returns the next line that the program prints.
func (s *site) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-s.lines:
		if ok {
			return line
		}
	case <-time.After(patience):
	}
	t.Fatal("the program prints nothing")
	return ""
}

// mailedLink returns the link in the next mail that has one. Mails are printed.
func (s *site) mailedLink(t *testing.T) (link string) {
	t.Helper()
	for {
		switch line := s.line(t); {
		case line == "--------------" && link != "":
			return link
		case strings.HasPrefix(line, s.url):
			link = line
		}
	}
}

// startBrowser starts a Chromium that connects only to the site, until the test
// ends. profile is the directory for its data.
func startBrowser(t *testing.T, path, profile string) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.NoFirstRun,
		chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true), // /dev/shm is small in containers
	)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	check(t, chromedp.Do(ctx)) // starts it
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("ending Chromium: %v", err)
		}
	})
	return ctx
}

// A tab is a tab of a browser. Tabs that newWindow opens have separate cookies.
type tab struct {
	t    *testing.T
	site *site
	ctx  context.Context
	off  bool // scripts are off

	mu       sync.Mutex
	problems []string
}

// newWindow opens a tab that looks to the site like another browser.
func newWindow(t *testing.T, browser context.Context, s *site) *tab {
	t.Helper()
	return newTab(t, browser, s, chromedp.WithNewBrowserContext())
}

// another opens another tab of the same browser.
func (b *tab) another() *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx, b.site)
}

// newTab opens a tab. When the test ends, the browser's console must have no
// complaint from it.
func newTab(t *testing.T, browser context.Context, s *site, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, options...)
	t.Cleanup(cancel)
	b := &tab{t: t, site: s, ctx: ctx}
	check(t, chromedp.Listen(ctx, b.hear))
	_, err := chromedp.Call(ctx, audits.Enable, struct{}{})
	check(t, err)
	b.do(chromedp.EmulateViewport(1280, 800))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, problem := range b.problems {
			t.Error("the browser says:", problem)
		}
		if t.Failed() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			where, _ := chromedp.Run(ctx, chromedp.Location())
			text, _ := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html")))
			t.Logf("at %s:\n%s", where, text)
		}
	})
	return b
}

// hear records the faults of a page.
func (b *tab) hear(event any) {
	problem := ""
	switch event := event.(type) {
	case *cdpruntime.EventConsoleAPICalled:
		problem = "console: " + string(event.Type)
	case *cdpruntime.EventExceptionThrown:
		problem = "exception: " + event.ExceptionDetails.Text
	case *log.EventEntryAdded:
		e := event.Entry
		if e.Source == log.EntrySourceNetwork && isPageStatus(e.Text, e.URL) {
			return
		}
		if strings.HasPrefix(e.Text, "Autofocus processing was blocked because a document already has a focused element") {
			return // the test has clicked before the browser has drawn the page
		}
		problem = string(e.Source) + ": " + e.Text + " " + e.URL
	case *audits.EventIssueAdded:
		problem = "issue: " + string(event.Issue.Code)
		if d := event.Issue.Details; d != nil && d.GenericIssueDetails != nil {
			if d.GenericIssueDetails.ErrorType == audits.GenericIssueErrorTypeNavigationEntryMarkedSkippable {
				return // a script has left the page: the user has picked a passkey
			}
			problem += ": " + string(d.GenericIssueDetails.ErrorType)
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// isPageStatus reports whether a complaint is about the status that our pages
// have for an invalid form, for a page that does not exist, or for a user whose
// address is not verified, or who would have no way left to log in.
func isPageStatus(text, page string) bool {
	u, err := url.Parse(page)
	return err == nil && (strings.HasPrefix(u.Path, "/fail/") || strings.HasPrefix(u.Path, "/oauth/down") || strings.Contains(text, "status of 422") || strings.Contains(text, "status of 404") && (u.Path == "/no-such-page" || u.Path == "/favicon.ico") ||
		strings.Contains(text, "status of 401") && (u.Path == "/account" || u.Path == "/login") || // asked for JSON by examples/spa
		strings.Contains(text, "status of 403") && slices.Contains([]string{"/account/two-factor", "/account/close", identitiesPage, callbackPath}, u.Path) ||
		strings.Contains(text, "status of 400") && u.Path == callbackPath || strings.Contains(text, "status of 409") && (u.Path == passkeysPage || u.Path == "/login"))
}

// do runs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	check(b.t, chromedp.Do(ctx, actions...))
}

func value[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	check(b.t, err)
	return v
}

// arrive runs actions that lead to another page. It must have this path and
// this status.
func (b *tab) arrive(path string, status int64, actions ...chromedp.Action[chromedp.Void]) *network.Response {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	r, err := chromedp.RunResponse(ctx, actions...)
	check(b.t, err)
	if r == nil {
		b.t.Fatalf("nothing was loaded on the way to %s", path)
	}
	if got := b.path(); got != path || r.Status != status {
		b.t.Fatalf("at %s with %d, want %s with %d", got, r.Status, path, status)
	}
	return r
}

// path returns the path and query in the address bar.
func (b *tab) path() string {
	b.t.Helper()
	return strings.TrimPrefix(value(b, chromedp.Location()), b.site.url)
}

// open goes to a target, which must lead to this path of the site.
func (b *tab) open(target, path string) {
	b.t.Helper()
	b.arrive(path, 200, chromedp.Navigate(b.site.url+target))
}

// submit fills in a form with the keyboard, from pairs of field and text, and
// sends it.
func (b *tab) submit(path string, status int64, fields ...string) {
	b.t.Helper()
	b.fill(fields...)
	b.arrive(path, status, chromedp.Click(chromedp.CSS("main form button[type=submit]")))
}

func (b *tab) fill(fields ...string) {
	b.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		b.do(chromedp.SendKeys(chromedp.ID(fields[i]), fields[i+1]))
	}
}

// eval runs a script. chromedp's own actions find a node first, and read it then: in between,
// the browser may have made the tree of nodes anew.
func (b *tab) eval(script string) string {
	b.t.Helper()
	return value(b, chromedp.Evaluate[string](script))
}

// textOf returns the text of an element that is in the page.
func (b *tab) textOf(selector string) string {
	b.t.Helper()
	return b.eval("document.querySelector(" + strconv.Quote(selector) + ").textContent")
}

// wantText fails unless the page has these texts.
func (b *tab) wantText(texts ...string) {
	b.t.Helper()
	body := b.textOf("body")
	for _, text := range texts {
		if !strings.Contains(body, text) {
			b.t.Fatalf("the page has no %q", text)
		}
	}
}

func (b *tab) wantNoText(texts ...string) {
	b.t.Helper()
	page := b.eval("document.documentElement.outerHTML")
	for _, text := range texts {
		if strings.Contains(page, text) {
			b.t.Fatalf("the page has %q", text)
		}
	}
}

// wantFocus fails unless this field gets the focus.
func (b *tab) wantFocus(id string) {
	b.t.Helper()
	b.do(chromedp.WaitReady(chromedp.CSS("#" + id + ":focus")))
}

func (b *tab) wantValue(id, want string) {
	b.t.Helper()
	if got := value(b, chromedp.Value(chromedp.ID(id))); got != want {
		b.t.Errorf("%s is %q, want %q", id, got, want)
	}
}

// wantUser fails unless the home page greets this user, or for "" nobody.
func (b *tab) wantUser(name string) {
	b.t.Helper()
	b.open("/", "/")
	if name == "" {
		b.wantText("Log in", "This page is for everybody.")
		b.wantNoText("Hi, ", "Log out")
	} else {
		b.wantText("Hi, "+name+"!", "Log out")
		b.wantNoText("Log in")
	}
}

func (b *tab) register(name string) {
	b.t.Helper()
	b.open("/register", "/register")
	b.wantFocus("username")
	b.submit("/login", 200,
		"username", name, "email", name+"@example.com", "password", good, "confirm_password", good)
	b.wantText("Your account has been created. You can now log in.")
	b.wantValue("login", name)
	b.wantFocus("password")
}

func (b *tab) login(name, password string) {
	b.t.Helper()
	b.open("/login", "/login")
	b.submit("/", 200, "login", name, "password", password)
	b.wantText("Hi, " + name + "!")
}

// loginRemembered logs in with the box ticked.
func (b *tab) loginRemembered(name, password string) {
	b.t.Helper()
	b.open("/login", "/login")
	b.fill("login", name, "password", password)
	b.do(chromedp.Click(chromedp.CSS(`label[for="remember_me"]`)))
	b.submit("/", 200)
	b.wantText("Hi, " + name + "!")
}

// wantDenied fails unless a guarded page redirects to the login.
func (b *tab) wantDenied(page string) {
	b.t.Helper()
	b.open(page, "/login?next="+url.QueryEscape(page))
	b.wantText("Please log in to access this page.")
}

func (b *tab) logout() {
	b.t.Helper()
	b.arrive("/", 200, chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
	b.wantText("You have been logged out.")
}

// withoutScripts turns JavaScript off.
func (b *tab) withoutScripts() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	check(b.t, err)
	b.off = true
	b.do(chromedp.Navigate(`data:text/html,<!doctype html><title>off</title><script>document.title = "on"</script>`))
	if title := value(b, chromedp.Title()); title != "off" {
		b.t.Fatalf("scripts are %s", title)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
