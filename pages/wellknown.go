package pages

import "slices"

// changePath is where password managers look for the page that changes the password (W3C, A
// Well-Known URL for Changing Passwords).
const changePath = "/.well-known/change-password"

// changePage leads to the page that changes the password. Its path has no prefix.
func (p *Pages) changePage() *page {
	return &page{
		path: changePath, url: new(string), who: anybody, atRoot: true, absent: slices.Contains(p.cfg.Without, "/account/password"),
		get: func(*request) answer { return answer{to: p.urls.Password} },
	}
}
