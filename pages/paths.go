package pages

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// checkPaths checks Without and Paths of Config.
func (p *Pages) checkPaths() error {
	known := map[string]bool{}
	for _, page := range p.table {
		known[page.path] = page.path != ""
	}
	const unknown = "pages: %s has %q, which is not the path of a page; use one that the documentation of package pages lists, such as \"/register\""
	for i, name := range p.cfg.Without {
		switch {
		case !known[name]:
			return fmt.Errorf(unknown, "Without", name)
		case slices.Contains(p.cfg.Without[:i], name):
			return fmt.Errorf("pages: Without has %s twice; remove one", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Paths)) {
		to := p.cfg.Paths[name]
		switch {
		case !known[name]:
			return fmt.Errorf(unknown, "Paths", name)
		case slices.Contains(p.cfg.Without, name):
			return fmt.Errorf("pages: Paths has %s, which Without leaves out; remove it from one of the two", name)
		case !isPlainPath(to) || to == "/":
			return fmt.Errorf("pages: Paths[%q] is %q, which is not a plain path; use one such as \"/sign-in\", or leave the page out with Without", name, to)
		}
	}
	switch without := func(name string) bool { return slices.Contains(p.cfg.Without, name) }; {
	case without("/register") && len(p.cfg.Fields) > 0:
		return errors.New("pages: Fields have no effect, because Without leaves out /register; remove one of the two")
	case without("/register") && p.cfg.CheckRegistration != nil:
		return errors.New("pages: CheckRegistration has no effect, because Without leaves out /register; remove one of the two")
	}
	return nil
}

// isPlainPath reports whether a path can be that of a page, or a prefix.
func isPlainPath(s string) bool {
	return !auth.ParseNext(s).IsZero() && path.Clean(s) == s && !strings.ContainsAny(s, "?#%{}")
}

// pathOf returns a page's path below that of BaseURL.
func (p *Pages) pathOf(page *page) (string, error) {
	to, renamed := p.cfg.Paths[page.path]
	switch {
	case !renamed && page.atRoot:
		return page.path, nil
	case !renamed:
		return p.cfg.Prefix + page.path, nil
	case page.atRoot:
		return "", fmt.Errorf("pages: Paths has %s, whose path is a standard; remove it", page.path)
	case page.script:
		return "", fmt.Errorf("pages: Paths has %s, the script of %s; set its path there", page.path, p.passkeys.Name())
	}
	return p.cfg.Prefix + to, nil
}

// leaveOut leaves out a page. url is the one that the page would have. If auth.Config has
// another URL for it, that is a page of the application, and links lead there.
func (p *Pages) leaveOut(page *page, url string) error {
	s := page.setting
	switch {
	case page.stays != "":
		return fmt.Errorf("pages: Without has %s, which cannot be left out: %s", page.path, page.stays)
	case s == nil:
	case s.name == "Login" || !leadsTo(s.url, p.auth.BaseURL, url): // every application has a login page, perhaps at the path of ours
		*page.url = s.url
		if page.name == "reset" && !slices.Contains(p.cfg.Without, "/undo-email") { // /undo-email hands a token to /reset-password
			return errors.New("pages: Without has /reset-password, which /undo-email leads to; leave out /undo-email, too")
		}
	case !s.optional:
		return fmt.Errorf("pages: Without has %s, but URLs.%s of auth.Config leads to it; set that to a page of your application", page.path, s.name)
	}
	return nil
}

// accountURL is where a change of the account leads: to the account's page or, if there is
// none, to Config.Home.
func (p *Pages) accountURL() string { return cmp.Or(p.urls.Account, p.cfg.Home) }
